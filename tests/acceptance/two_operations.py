"""A worker whose workflow stops between its operations until it is told to go on, or is killed."""

from __future__ import annotations

import sys
from pathlib import Path

from stepwell import Package, Runtime, StepContext, connect

pair = Package("pair")


def add_line(path: str, line: str) -> str:
    """An effect that can be counted."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


@pair.workflow
def both(step: StepContext, path: str) -> list[str]:
    first = step.do("first", add_line, path, "first")
    step.sleep(0.01)
    beside = step.do_async("beside", add_line, path, "beside")
    lines = [first, beside.result()]
    sys.stdout.write(f"between {step.attempt}\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return [*lines, step.do("second", add_line, path, "second")]


def opened(home: Path) -> Runtime:
    """The store of this test, with leases that lapse soon."""
    url = f"sqlite:///{home / 'engine.db'}"
    return connect(url, home=home, packages=[pair], settings={"lease": 1.0})


if __name__ == "__main__":
    with opened(Path(sys.argv[1])) as runtime:
        runtime.drain(sys.argv[2], timeout=60)
