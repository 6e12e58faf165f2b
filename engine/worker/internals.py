"""The inside of a worker, for tests. It is not part of the public API."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.engine.worker.duties import Duties
from stepwell.engine.worker.pacing import Pacing
from stepwell.engine.worker.turn import Turn
from stepwell.engine.worker.workload import Workload


@dataclass(frozen=True, slots=True)
class Internals:
    """The parts of a worker that a test may look at, or put into a state."""

    turn: Turn
    pacing: Pacing
    workload: Workload
    duties: Duties
