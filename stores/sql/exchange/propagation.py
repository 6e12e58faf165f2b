"""What the end of steps does to the steps that depend on them.

It works on sets, level by level: one statement for all steps that ended together. The verdicts
come from `engine.states`; this module only carries them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from stepwell.engine.events import EventType
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import STEP_ENDED, Condition, StepStatus, Verdict, verdict
from stepwell.stores.sql.connection.corruption import decodes
from stepwell.stores.sql.connection.statements import rows_json
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.plan import Plan
from stepwell.stores.sql.exchange.steps_sql import SettleStatements

T = TypeVar("T")

# step key -> key of the step whose end dropped it
Drops = dict[int, int]


# The verdict on dependents by the status of an ended step and by the stored condition.
_RULINGS = {
    status: {condition.value: verdict(condition, status) for condition in Condition}
    for status in STEP_ENDED
}
_CODES = {StepStatus.CANCELED: "upstream_failed", StepStatus.SKIPPED: "branch_not_taken"}


class Propagation:
    """Collects ended and dropped steps of one transaction, then follows their edges."""

    def __init__(self, changes: Changes, sql: SettleStatements, plan: Plan) -> None:
        self._tx = changes.tx
        self._changes = changes
        self._sql = sql
        self._plan = plan
        self._ended: dict[StepStatus, list[int]] = {}
        self._cancel: Drops = {}
        self._skip: Drops = {}
        self._met: dict[int, int] = {}

    def ended(self, status: StepStatus, keys: Iterable[int]) -> None:
        """Note that these steps ended."""
        self._ended.setdefault(status, []).extend(keys)

    def met(self, key: int) -> None:
        """Note that one dependency of this step is met."""
        self._met[key] = self._met.get(key, 0) + 1

    def drop(self, ruling: Verdict, key: int, origin: int) -> None:
        """Cancel or skip a pending step because of how `origin` ended."""
        drops = self._cancel if ruling is Verdict.CANCEL else self._skip
        drops[key] = min(origin, drops.get(key, origin))

    def follow(self) -> None:
        """Count down, cancel and skip until nothing more follows."""
        while self._ended or self._cancel or self._skip or self._met:
            ended, self._ended = self._ended, {}
            met, self._met = self._met, {}
            for status, keys in ended.items():
                self._look_at_dependents(status, keys, met)
            for key in self._cancel:
                self._skip.pop(key, None)
            for dropped in (self._cancel, self._skip):
                for key in dropped:
                    met.pop(key, None)
            if met:
                # Dropped steps may make others ready in the next round, which may come first.
                last = not (self._cancel or self._skip)
                self._plan.count_down(self._changes, met, last=last)
            if self._cancel or self._skip:
                self._carry_out_drops()

    def _look_at_dependents(self, status: StepStatus, keys: list[int], met: dict[int, int]) -> None:
        rows = self._sql.dependents(self._tx, [(key,) for key in keys])
        for ruling, (step, _, count, origin) in zip(_rulings(status, rows), rows, strict=True):
            if ruling is Verdict.MET:
                met[step] = met.get(step, 0) + count
            else:
                self.drop(ruling, step, origin)

    def _carry_out_drops(self) -> None:
        cancel, skip = self._cancel, self._skip
        self._cancel, self._skip = {}, {}
        origins = self._origins({*cancel.values(), *skip.values()})
        cancel, skip = self._with_all_below(cancel, origins), self._with_all_below(skip, origins)
        for drops, statement, status, event in (
            (cancel, self._sql.cancel, StepStatus.CANCELED, EventType.STEP_CANCELED),
            (skip, self._sql.skip, StepStatus.SKIPPED, EventType.STEP_SKIPPED),
        ):
            if not drops:
                continue
            errors = {
                origin: encode(_reason(status, *origins[origin][1:]), "error")
                for origin in set(drops.values())
            }
            rows = [(key, errors[origin], origins[origin][0]) for key, origin in drops.items()]
            dropped = statement(self._tx, self._tx.now, rows_json(rows)).fetchall()
            for key, run_key in dropped:
                self._changes.step_ended(run_key)
                name = origins[drops[key]][1]
                code = _CODES[status]
                self._changes.event(run_key, event, key, data={"code": code, "step": name})
            self.ended(status, [key for key, _ in dropped])

    def _with_all_below(self, drops: Drops, origins: dict[int, tuple[int, str, str]]) -> Drops:
        """Add all steps below that are canceled as well, if all drops have one reason.

        So a chain takes one statement. With several reasons the levels are done one by one, so that
        each step gets its own.
        """
        if not drops or len({origins[origin][0] for origin in drops.values()}) > 1:
            return drops
        origin = next(iter(drops.values()))
        rows = self._sql.required_below(self._tx, rows_json(list(drops))).fetchall()
        return {row[0]: origin for row in rows}

    def _origins(self, keys: set[int]) -> dict[int, tuple[int, str, str]]:
        """For each of these, the step that it began with: key, id and status."""
        rows = self._sql.names(self._tx, rows_json(list(keys))).fetchall()
        roots = {cause for _, _, cause, _ in rows if cause is not None}
        named = {key: (key, name, status) for key, name, _, status in rows}
        if roots:
            for key, name, _, status in self._sql.names(self._tx, rows_json(list(roots))):
                named.setdefault(key, (key, name, status))
        origins = {key: named[cause] if cause in named else named[key] for key, _, cause, _ in rows}
        return _all_of(keys, origins)


@decodes
def _rulings(status: StepStatus, rows: Sequence[Sequence[Any]]) -> list[Verdict]:
    """The verdict on each of these dependents."""
    rulings = _RULINGS[status]
    return [rulings[row[1]] for row in rows]


@decodes
def _all_of(keys: Iterable[int], origins: Mapping[int, T]) -> dict[int, T]:
    return {key: origins[key] for key in keys}


def _reason(status: StepStatus, name: str, root_status: str) -> dict[str, Any]:
    """The error kept with a dropped step."""
    message = f"{status}, because step {name!r} {_verb(root_status)}"
    return {"code": _CODES[status], "message": message, "step": name}


def _verb(status: str) -> str:
    return "was " + status if status in ("canceled", "skipped") else status
