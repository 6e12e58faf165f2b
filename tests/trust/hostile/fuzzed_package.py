"""What the fuzzing is done on: a package whose steps do as they are told, and the store's rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from pydantic_core import from_json

from stepwell import Package, RunBuilder, StepContext

# No call may take longer, in seconds of this process's own time.
SLOWEST = 1.0
# What `slowness` does takes so many seconds on a machine that does nothing else.
NOMINAL = 0.15

fuzzed = Package("fuzzed")
# What the next `fuzzed.act` does.
acts: list[Callable[[StepContext], Any]] = []


@fuzzed.executor("fuzzed.echo")
def echo(step: StepContext, value: Any) -> Any:
    return value


@fuzzed.executor("fuzzed.act")
def act(step: StepContext) -> Any:
    return acts.pop()(step)


@fuzzed.entrypoint
def start(run: RunBuilder, order: Any) -> None:
    run.step(echo, order, id="echo")
    run.step("wait.message", {"topic": "go"}, id="wait")


@fuzzed.entrypoint(name="acting")
def acting(run: RunBuilder) -> None:
    run.step(act, id="act")
    run.step(echo, 1, id="beside")


def many(number: float, scale: float) -> settings:
    """So many examples: the same ones in an ordinary run, any in a long one."""
    return settings(
        max_examples=max(1, int(number * scale)),
        derandomize=scale == 1,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def rows_of(path: Path) -> dict[str, list[Any]]:
    """Everything in a store, but what it says of workers."""
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if name != "workers"
        ]
        return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


@contextmanager
def at_most(seconds: float = SLOWEST) -> Iterator[None]:
    """Fail if the block takes longer, not counting what others do on the machine meanwhile."""
    begun = time.process_time()
    yield
    took = time.process_time() - begun
    # A machine with much to do is slower even by this clock; only then it is asked how much.
    assert took < seconds or took < seconds * slowness(), f"took {took:.2f} s"


def slowness() -> float:
    """How many times as long as on an idle machine the same work takes right now; 1 at least."""
    begun = time.process_time()
    for _ in range(5):
        from_json("[" + "[]," * 100_000 + "[]]")
    return max(1.0, (time.process_time() - begun) / NOMINAL)
