"""A check, and the lists of words that several of them use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stepwell.engine.events import EventType
from stepwell.engine.states import STEP_ENDED, STEP_OPEN, Condition, StepStatus, Verdict, verdict


@dataclass(frozen=True, slots=True)
class Check:
    """A query for what breaks a rule.

    Its rows are run id, step id and the values for `message`, which follows the name of the step
    or run: "has {0} edges" reads "run 'r' step 's' has 3 edges".
    """

    name: str
    message: str
    sql: str


def listed(words: Iterable[str]) -> str:
    """A list for `IN`."""
    quoted = (f"'{word}'" for word in sorted(words))
    return f"({', '.join(quoted)})"


ENDED = listed(STEP_ENDED)
OPEN = listed(STEP_OPEN)
# The events of a step's end, whatever ended it; and those of one execution's.
ENDS = listed(f"step.{status}" for status in STEP_ENDED)
EXECUTION_ENDS = listed(
    (
        EventType.STEP_SUCCEEDED,
        EventType.STEP_FAILED,
        EventType.STEP_RETRYING,
        EventType.STEP_RELEASED,
        EventType.STEP_WAITING,
        EventType.STEP_LAPSED,
    )
)
# Executions that were given back: their attempt does not count.
UNCHARGED = listed((EventType.STEP_RELEASED, EventType.STEP_WAITING))
RETRIES = listed((EventType.STEP_RETRIED, EventType.RUN_RETRIED))


def met_by(condition: Condition) -> list[StepStatus]:
    """How a target may end for a dependency with this condition to be met."""
    return [status for status in STEP_ENDED if verdict(condition, status) is Verdict.MET]


# Whether edge `d` to target `t` is met.
MET = " OR ".join(
    f"(d.condition = '{condition}' AND t.status IN {listed(met_by(condition))})"
    for condition in Condition
)
