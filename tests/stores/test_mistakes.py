"""A mistake of the program is told as one, and not as damage of what is stored."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from stepwell import CorruptData, Package, Retry, RunBuilder, Runtime, StepContext, connect
from stepwell.engine.checkpoints.fence import fenced
from stepwell.stores.checkpoints.memory import MemoryCheckpointer
from stepwell.stores.sql.exchange import claim
from stepwell.stores.sql.exchange.claim import Claiming
from stepwell.stores.sql.exchange.closing import Closing
from stepwell.stores.sql.exchange.graphs import Graphs
from stepwell.stores.sql.exchange.settle import Settlement
from stepwell.stores.sql.roles import rows
from stepwell.stores.sql.roles.operators import OperatorActs

PATIENCE = 60
LEASE = 1.0
# What a slip of a maintainer may raise; all of it once passed for damage.
SLIPS = [
    TypeError("a slip"),
    KeyError("a slip"),
    AttributeError("a slip"),
    ValueError("a slip"),
    IndexError("a slip"),
    RecursionError("a slip"),
]

plain = Package("plain")


@plain.executor("plain.work")
def work(step: StepContext, number: int) -> int:
    return number + 1


@plain.executor("plain.durable", retry=Retry(max_attempts=2, initial=0))
def durable(step: StepContext) -> str:
    return step.do("once", str, "done")


@plain.executor("plain.long")
def long(step: StepContext) -> None:
    begun, go_on = step.app
    begun.set()
    go_on.wait(PATIENCE)


@plain.entrypoint
def start(run: RunBuilder, number: int) -> None:
    run.step(work, number, id="work")


@plain.entrypoint(name="durable")
def start_durable(run: RunBuilder) -> None:
    run.step(durable, id="durable")


@plain.entrypoint(name="long")
def start_long(run: RunBuilder) -> None:
    run.step(long, id="long")


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Runtime]:
    """Opens the same store, again and again."""
    url = f"sqlite:///{tmp_path}/engine.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")

    def open_store(**options: Any) -> Runtime:
        settings = {"lease": LEASE, "poll_interval": 0.05}
        return connect(url, home=tmp_path, packages=[plain], settings=settings, **options)

    return open_store


def slip(monkeypatch: pytest.MonkeyPatch, at: type, name: str, error: Exception) -> None:
    """From now on the method raises it."""

    def slipping(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(at, name, slipping)


@pytest.mark.parametrize("error", SLIPS, ids=lambda error: type(error).__name__)
def test_a_slip_in_an_exchange_ends_the_worker_with_it(
    error: Exception,
    opened: Callable[..., Runtime],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with opened() as runtime:
        # given
        run = runtime.start_run("plain", 1, entrypoint="start")
        with monkeypatch.context() as patch:
            slip(patch, Settlement, "settle", error)

            # when
            with caplog.at_level(logging.ERROR, "stepwell"), pytest.raises(type(error)) as raised:
                runtime.start_workers()

        # then: it is told once, with its traceback, and the step is as it was
        assert raised.value is error
        (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert told.exc_info is not None
        assert told.exc_info[1] is error
        assert "stepwell verify" not in told.getMessage()
        step = runtime.step(run.id, "work")
        assert (step.status, step.attempt) == ("running", 1)

        # and, once it is mended, it is taken back and ends
        runtime.drain(run.id, timeout=PATIENCE)
        assert runtime.result(run.id, "work").value == 2
        assert runtime.verify().ok


def test_a_broken_worker_leaves_its_steps_alone(opened: Callable[..., Runtime]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slip(threading.Event):
        """Raises while the body runs, the first time somebody asks."""

        def is_set(self) -> bool:
            if begun.is_set() and not go_on.is_set():
                go_on.set()
                raise TypeError("a slip")
            return False

    with opened(app=(begun, go_on)) as runtime:
        # given: a worker that meets a mistake while a body runs
        run = runtime.start_run("plain", entrypoint="long")
        with pytest.raises(TypeError, match="a slip"):
            runtime.start_workers(stop=Slip())

        # then: it sent nothing of it to the store any more
        assert [event.type for event in runtime.events(run.id)] == ["run.created", "run.started"]
        step = runtime.step(run.id, "long")
        assert (step.status, step.attempt) == ("running", 1)


@pytest.mark.parametrize("call", ["drain", "run_once"])
@pytest.mark.parametrize(
    ("at", "name"), [(Claiming, "claim"), (Closing, "close"), (Settlement, "settle")]
)
def test_a_slip_ends_the_call_that_worked(
    at: type, name: str, call: str, opened: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as runtime:
        run = runtime.start_run("plain", 1, entrypoint="start")
        before, watch = set(threading.enumerate()), runtime.internals.store.watch
        watches: list[Any] = []

        def noted() -> Any:
            watches.append(watch())
            monkeypatch.setattr(watches[-1], "close", Mock(wraps=watches[-1].close))
            return watches[-1]

        with monkeypatch.context() as patch:
            patch.setattr(runtime.internals.store, "watch", noted)
            slip(patch, at, name, TypeError("a slip"))
            with pytest.raises(TypeError, match="a slip"):
                getattr(runtime, call)()

        # then: nothing is left of its worker that would go on listening, or wait for work
        assert [watch.close.called for watch in watches] == [True]
        assert {each.name for each in threading.enumerate() if each not in before} == set()
        # and, once it is mended, the work is done
        runtime.drain(run.id, timeout=PATIENCE)
        assert runtime.verify().ok


@pytest.mark.parametrize(
    ("at", "name", "call"),
    [
        (Graphs, "add_runs", lambda runtime: runtime.start_run("plain", 1, entrypoint="start")),
        (OperatorActs, "retry_run", lambda runtime: runtime.retry_run("known")),
        (OperatorActs, "retry_step", lambda runtime: runtime.retry_step("known", "work")),
        (OperatorActs, "cancel_run", lambda runtime: runtime.cancel_run("known")),
        (Graphs, "lock_runs", lambda runtime: runtime.send("known", "topic", 1)),
        (Graphs, "lock_runs", lambda runtime: runtime.pause_run("known")),
    ],
    ids=["start", "retry_run", "retry_step", "cancel", "send", "pause"],
)
def test_a_slip_in_an_act_is_raised_as_it_is(
    at: type,
    name: str,
    call: Callable[[Runtime], object],
    opened: Callable[..., Runtime],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened() as runtime:
        runtime.start_run("plain", 1, entrypoint="start", run_id="known")
        error = KeyError("a slip")
        slip(monkeypatch, at, name, error)

        with pytest.raises(KeyError) as raised:
            call(runtime)

        assert raised.value is error


@pytest.mark.parametrize("until", ["start", "operation"])
def test_a_lost_fence_does_not_cancel_a_step(until: str, opened: Callable[..., Runtime]) -> None:
    # given: a fence of the author's own, of which the store knows nothing, and which is lost
    left = {"start": 0, "operation": 1}[until]

    def check() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    with opened(checkpoints=fenced(MemoryCheckpointer(), check)) as runtime:
        run = runtime.start_run("plain", entrypoint="durable")

        # when
        runtime.drain(run.id, timeout=PATIENCE)

        # then: the attempts failed by it, as the retry policy allows, and nobody canceled anything
        step = runtime.step(run.id, "durable")
        assert step.error is not None
        assert (step.status, step.error.code) == ("failed", "lease_lost")
        assert step.attempt == 2
        assert "another worker holds the step" in step.error.message
        assert not [event for event in runtime.events(run.id) if "cancel" in event.type]


def test_what_is_damaged_still_says_so(
    opened: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same errors, where a stored row becomes a value."""
    with opened() as runtime:
        runtime.start_run("plain", 1, entrypoint="start", run_id="known")
        monkeypatch.setattr(rows, "decode", lambda text: {}[text])
        with pytest.raises(
            CorruptData, match=r"^store .*KeyError.*; look at it with: stepwell ver"
        ):
            runtime.run("known")
        monkeypatch.setattr(claim, "ClaimedStep", lambda *row: dict(row))
        with pytest.raises(CorruptData, match="TypeError"):
            runtime.run_once()
