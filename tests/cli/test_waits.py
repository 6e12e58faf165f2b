"""What a wait says of the time it has left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stepwell.cli.waits import waits_for
from stepwell.engine.model import StepWait
from stepwell.testing.builders import new_step


class Held:
    """A step that is held back while it waits."""

    run_id, id = "r", new_step("a").id

    def __init__(self, left: timedelta) -> None:
        self.wait = StepWait("sleep", left=left)


@pytest.mark.parametrize(("left", "says"), [(90, "1 min 30 s"), (0, "0.0 s")])
def test_the_time_that_a_wait_has_left(left: float, says: str) -> None:
    step = Held(timedelta(seconds=left))

    assert waits_for(step, str) == f"a time, with {says} left"  # type: ignore[arg-type]  # of a step, it looks at these only


class Waiting:
    """A step that waits for several things."""

    run_id, id = "r", "a"
    wait = StepWait(
        "any",
        operation="wait_any",
        until=datetime(2030, 1, 1, tzinfo=UTC),
        waits=(
            StepWait("message", operation="wait_any.reply", topic="mail"),
            StepWait("approval", operation="wait_any.ok", topic="stepwell.x"),
            StepWait("run", operation="wait_any.end", run_id="r2"),
            StepWait("sleep", operation="wait_any.late", until=datetime(2030, 1, 1, tzinfo=UTC)),
        ),
    )


def test_several_waits_are_named_one_by_one() -> None:
    def typed(*words: str) -> str:
        return " ".join(("stepwell", *words))

    says = waits_for(Waiting(), typed)  # type: ignore[arg-type]  # of a step, it looks at these only

    assert says == (
        "the first of 4, until 2030-01-01 00:00:00Z: "
        "reply: a message on topic 'mail'; send one: stepwell send r mail JSON | "
        "ok: a decision; give it: stepwell approve r a, or: stepwell reject r a | "
        "end: the end of run 'r2' | late: a time, until 2030-01-01 00:00:00Z"
    )
