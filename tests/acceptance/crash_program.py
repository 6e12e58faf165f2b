"""A worker whose workflow waits in the middle until it is told to go on, or is killed.

python crash_program.py HOME RUN_ID
"""

from __future__ import annotations

import sys
from pathlib import Path

from stepwell import Package, Runtime, StepContext, connect

deadly = Package("deadly")


@deadly.workflow(max_recoveries=1)
def middle(step: StepContext) -> list[int]:
    before = step.do("before", lambda: step.attempt)
    sys.stdout.write(f"in the middle {step.attempt}\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return [before, step.do("after", lambda: step.attempt)]


def url_of(home: Path) -> str:
    """The address of this test's store."""
    return f"sqlite:///{home / 'engine.db'}"


def opened(home: Path) -> Runtime:
    """The store of this test, with leases that lapse soon."""
    return connect(url_of(home), home=home, packages=[deadly], settings={"lease": 0.5})


if __name__ == "__main__":
    with opened(Path(sys.argv[1])) as runtime:
        runtime.drain(sys.argv[2], timeout=60)
