"""A worker whose pool's threads took the turn, and ended all there was, learns of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepwell.connect import connect
from stepwell.engine.worker import LOOK


@pytest.mark.timeout(60)  # it would wait for every look of an idle worker in turn
def test_a_look_that_came_before_the_wait_is_not_lost(tmp_path: Path) -> None:
    waits: list[float] = []
    with connect("memory://", home=tmp_path) as runtime, runtime._worker(None) as worker:
        worker._hungry = False
        worker._poll_interval = lambda: waits.append(0.0) or 0.0  # type: ignore[func-returns-value,method-assign]  # counts waits
        # As a thread leaves it that settled the last step while the worker's own was waking up.
        worker._stepped_in = True
        worker._inbox.put(LOOK)

        worker.run(worker.is_idle)

    assert waits == []
