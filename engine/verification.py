"""The checks of `verify`, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# How many violations of each check are listed.
MOST_SHOWN = 20

# The checks by name, each with the rule that holds in a sound store.
CHECKS: dict[str, str] = {
    "integrity": "the database finds no damage in its own file or catalog",
    "references": "whatever a row refers to is there",
    "payloads": "every stored JSON text can be read",
    "settled": (
        "every settle is complete: results, records, children and artifacts of the steps that "
        "succeeded, and of no others; an ended step has its time and its reason"
    ),
    "commits": "a step ends once, unless an operator retried it, and its status is that of its end",
    "tokens": "fencing tokens of a step only rise",
    "attempts": "a step's attempts are its claims, except those that were released",
    "early_starts": "no step was executed before the steps it depends on had ended",
    "pending": "a step's count of unmet dependencies equals its edges, and is acted on",
    "counters": "a run's counts of steps, open steps and holds equal its steps",
    "graphs": "graphs are acyclic and closed; a step that waits for a subtree waits for all of it",
    "runs": "a run's status is the one that follows from its steps",
    "waits": "what a step waits for can still come, and has not come; held steps' waits are frozen",
    "messages": "messages and values agree with their events, in order and without gaps",
    "queue_limits": "no more leases of a queue are held than its limits allow",
    "events": "a run's events are numbered from 1 without a gap",
    "artifacts": "the bytes of every artifact are there, with their size and digest",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: which check found it, where, and what is wrong."""

    check: str
    message: str
    run_id: str | None = None
    step_id: str | None = None

    def __str__(self) -> str:
        run = "" if self.run_id is None else f"run {self.run_id!r} "
        step = "" if self.step_id is None else f"step {self.step_id!r} "
        return f"{self.check}: {run}{step}{self.message}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what is wrong; lists the first `MOST_SHOWN` violations of each check.

    `counts` is the number of violations by check, for checks that found any.
    """

    checked: tuple[str, ...]
    violations: tuple[Violation, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts

    @property
    def total(self) -> int:
        """How many violations there are, shown or not."""
        return sum(self.counts.values())
