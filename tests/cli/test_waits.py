"""What a wait says of the time it has left."""

from __future__ import annotations

from datetime import timedelta

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
