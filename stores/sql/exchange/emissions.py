"""Checking an emission against the run it goes into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell.engine.errors import InvalidGraph, nearest
from stepwell.engine.exchange import ClaimedStep, Completed, NewStep
from stepwell.engine.states import Condition, StepStatus
from stepwell.stores.sql.connection.corruption import decodes, stored_status
from stepwell.stores.sql.connection.statements import StoreTransaction, rows_json
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements

# A stored step that an edge points to: its key and status.
Target = tuple[int, StepStatus]


@dataclass(slots=True)
class Emission:
    """The new steps of one completed execution, with what their edges point to.

    `joins` are the subtree dependents of the emitting step: (key, condition). They will wait for
    the new steps, and so for the stored steps that these wait for. `repeated` are stored steps with
    the dedup keys of emitted ones, which are not stored again: the joins wait for them, too. `late`
    are new subtree dependencies on stored steps that repeated others, themselves or below:
    (key, condition, stored step).
    """

    parent: ClaimedStep
    steps: Sequence[NewStep]
    targets: dict[str, Target] = field(default_factory=dict)
    joins: list[tuple[int, str]] = field(default_factory=list)
    repeated: dict[int, StepStatus] = field(default_factory=dict)
    late: list[tuple[int, Condition, int]] = field(default_factory=list)

    @property
    def awaits_subtrees(self) -> bool:
        """Whether a new step has a subtree dependency on a stored one."""
        return any(
            edge.subtree and edge.target in self.targets for new in self.steps for edge in new.edges
        )

    @property
    def open_targets(self) -> dict[str, int]:
        """Keys of the targets that have not ended, by the ids that edges use."""
        return {
            name: key
            for name, (key, status) in self.targets.items()
            if not status.ended and key != self.parent.key
        }


class Emissions:
    """Checks what executions emitted, in a transaction given by the caller."""

    def __init__(self, sql: GraphStatements, settle: SettleStatements) -> None:
        self._sql = sql
        self._settle = settle

    def check(
        self, tx: StoreTransaction, completed: Sequence[Completed]
    ) -> tuple[dict[int, Emission], dict[int, InvalidGraph]]:
        """The valid emissions of these outcomes by step key, and the errors of the others."""
        wanted = {
            (outcome.step.run.key, name)
            for outcome in completed
            for new in outcome.emitted
            for name in (new.id, *(edge.target for edge in new.edges))
        }
        found = _targets(self._sql.find(tx, rows_json(list(wanted))).fetchall())
        joins = self._joins(tx, [outcome.step.key for outcome in completed])
        emissions: dict[int, Emission] = {}
        refused: dict[int, InvalidGraph] = {}
        taken: dict[tuple[int, str], Target] = {}
        new_waits: list[tuple[int, int]] = []
        for outcome in completed:
            run_key = outcome.step.run.key
            try:
                emission = self._check_one(tx, outcome, found, taken)
                emission.joins = joins.get(outcome.step.key, [])
                new_waits += self._check_cycles(tx, emission, new_waits)
            except InvalidGraph as error:
                refused[outcome.step.key] = error
                continue
            emissions[outcome.step.key] = emission
            # Later outcomes of the group must not take the same ids again.
            taken.update(((run_key, new.id), (0, StepStatus.PENDING)) for new in emission.steps)
        return emissions, refused

    def _check_one(
        self,
        tx: StoreTransaction,
        outcome: Completed,
        found: dict[tuple[int, str], Target],
        taken: dict[tuple[int, str], Target],
    ) -> Emission:
        run_key = outcome.step.run.key
        steps, renamed = self._without_known_dedup_keys(tx, outcome)
        new_ids = {new.id for new in steps}
        emission = Emission(outcome.step, steps)
        emission.targets.update(renamed)
        emission.repeated.update(renamed.values())
        for new in steps:
            if (run_key, new.id) in found or (run_key, new.id) in taken:
                raise InvalidGraph(f"emit.step({new.id!r}): the run has a step with this id")
            for edge in new.edges:
                name = edge.target
                if name in new_ids or name in renamed:
                    continue
                if (run_key, name) not in found:
                    known = [row[0] for row in self._sql.some_ids(tx, run_key)]
                    raise InvalidGraph(
                        f"emit.step({new.id!r}).after: there is no step {name!r} in the run"
                        f"{nearest(name, [*known, *new_ids])}"
                    )
                emission.targets[name] = found[run_key, name]
        return emission

    def _without_known_dedup_keys(
        self, tx: StoreTransaction, outcome: Completed
    ) -> tuple[list[NewStep], dict[str, Target]]:
        """The steps that are still to be stored, and the stored steps that stand for the others."""
        run_key = outcome.step.run.key
        keys = [(run_key, new.dedup_key) for new in outcome.emitted if new.dedup_key is not None]
        if not keys:
            return list(outcome.emitted), {}
        known = {
            dedup_key: (key, stored_status(status))
            for _, dedup_key, key, status, _ in self._sql.find_dedup(tx, rows_json(keys))
        }
        steps, renamed = [], {}
        for new in outcome.emitted:
            if new.dedup_key is not None and new.dedup_key in known:
                renamed[new.id] = known[new.dedup_key]
            else:
                steps.append(new)
        return steps, renamed

    def _check_cycles(
        self, tx: StoreTransaction, emission: Emission, new_waits: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """An emitted step must not wait for something that waits for it.

        `new_waits` are the edges that other emissions of this transaction add: (target, waiting
        step). Returns those that this one adds.
        """
        parent = emission.parent
        subtree = {edge.target for new in emission.steps for edge in new.edges if edge.subtree}
        subtree &= emission.targets.keys()
        if subtree:
            above = {row[0] for row in self._sql.ancestors(tx, parent.key)}
            for name in sorted(subtree):
                if emission.targets[name][0] in above:
                    raise InvalidGraph(
                        f"emit.step(…).after_subtree: {name!r} is above the step itself, which "
                        "would wait for its own end; depend on the steps that it emits"
                    )
        if not emission.joins:
            return []
        targets = {name: {key} for name, key in emission.open_targets.items()}
        for name in subtree:
            rows = self._sql.descendants(tx, rows_json([emission.targets[name][0]])).fetchall()
            open_below = {key for key, status, _ in rows if not stored_status(status).ended}
            targets.setdefault(name, set()).update(open_below - {parent.key})
        if not any(targets.values()):
            return []
        joins = {step for step, _ in emission.joins}
        after_joins = self._waiting_for(tx, joins, new_waits)
        for new in emission.steps:
            for edge in new.edges:
                if not after_joins.isdisjoint(targets.get(edge.target, ())):
                    raise InvalidGraph(
                        f"emit.step({new.id!r}).after: {edge.target!r} waits for everything "
                        f"that {parent.id!r} emits, so this would be a cycle"
                    )
        return [(key, join) for keys in targets.values() for key in keys for join in joins]

    def _waiting_for(
        self, tx: StoreTransaction, steps: set[int], new_waits: Sequence[tuple[int, int]]
    ) -> set[int]:
        """`steps` and all that wait for them, directly or not, including through `new_waits`."""
        waiting: set[int] = set()
        fresh = steps
        while fresh:
            waiting |= fresh
            waiting |= {row[0] for row in self._sql.downstream(tx, rows_json(list(fresh)))}
            fresh = {step for needs, step in new_waits if needs in waiting} - waiting
        return waiting

    def _joins(self, tx: StoreTransaction, keys: Sequence[int]) -> dict[int, list[tuple[int, str]]]:
        """The steps with a subtree dependency on these, by the key of the target."""
        joins: dict[int, list[tuple[int, str]]] = {}
        for needs, step, condition in self._settle.subtree_dependents(tx, rows_json(keys)):
            joins.setdefault(needs, []).append((step, condition))
        return joins


@decodes
def _targets(rows: Sequence[Sequence[Any]]) -> dict[tuple[int, str], Target]:
    return {(run, name): (key, StepStatus(status)) for run, name, key, status in rows}
