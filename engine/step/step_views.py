"""The logger and the projections of a step, which know the step they belong to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ports import Parameters, Projection, Transaction

_log = logging.getLogger("stepwell.step")


class StepLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds run, step and attempt to every line, as text and as fields."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line as `logging` does; its text begins with the step."""
        if not self.isEnabledFor(level):
            return
        extra = dict(self.extra or {})
        step = f"[{extra['run_id']}/{extra['step_id']}#{extra['attempt']}]"
        if args:  # only then is a % interpreted, and an id may contain one
            step = step.replace("%", "%%")
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one
        self.logger.log(level, f"{step} {msg}", *args, **kwargs)


def step_logger(step: ClaimedStep) -> StepLogger:
    """The logger of one attempt of a step."""
    extra = {"run_id": step.run.id, "step_id": step.id, "attempt": step.attempt}
    return StepLogger(_log, extra)


class StepProjection:
    """A projection as one step sees it: `once` needs no key, because the step is the key."""

    def __init__(self, projection: Projection, key: str) -> None:
        self._projection = projection
        self._key = key

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement and commit; returns the number of rows it changed."""
        return self._projection.execute(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run one statement for every row in one transaction; returns rows changed."""
        return self._projection.execute_many(sql, rows)

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """Run one statement; returns its rows as dictionaries."""
        return self._projection.query(sql, parameters)

    def once(self, apply: Callable[[Transaction], object], key: str = "") -> bool:
        """Run `apply` in one transaction, at most once for this step (and `key`).

        Returns False without calling it if an earlier attempt has committed it.
        """
        return self._projection.once(f"{self._key}#{key}" if key else self._key, apply)
