"""Orders that wait for an approval, in both forms: decided, too late, or not asked about at all."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from samples.approval.approval import LIMIT, PATIENCE, Order, approval
from stepwell import RefusedByState, RunHandle, Runtime, VirtualClock, connect
from stepwell.testing import CrashEverywhere

LARGE = Order(id="o1", cents=LIMIT + 1)
CHARGED = f"order o1: charged {LIMIT + 1} cents"
Place = Callable[[Order], RunHandle[None]]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def runtime(clock: VirtualClock) -> Iterator[Runtime]:
    with connect("memory://", packages=[approval], clock=clock) as runtime:
        yield runtime


@pytest.fixture(params=["order", "graph"])
def place(request: pytest.FixtureRequest, runtime: Runtime) -> Place:
    """Starts a run of one of the two forms, and works on it until it ends or waits."""

    def start(order: Order) -> RunHandle[None]:
        run = runtime.start_run("approval", order, entrypoint=request.param)
        work(runtime)
        return run

    return start


def work(runtime: Runtime) -> None:
    while runtime.run_once().processed:
        pass


def outcome(runtime: Runtime, run: RunHandle[None]) -> tuple[str, str]:
    """Status and reason of the order, wherever in the run that was found."""
    assert run.status() == "succeeded"
    (placed,) = [
        result.value
        for step in runtime.steps(run.id, status="succeeded")
        if step.id != "approval"
        for result in [runtime.result(run.id, step.id)]
    ]
    return placed["status"], placed["why"]


def test_a_small_order_asks_nobody(
    runtime: Runtime, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place(Order(id="o1", cents=LIMIT))

    assert outcome(runtime, run) == ("placed", "receipt-o1")
    assert capsys.readouterr().out.splitlines() == [f"order o1: charged {LIMIT} cents"]


def test_an_approved_order_is_charged_once(
    runtime: Runtime, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place(LARGE)
    assert CHARGED not in capsys.readouterr().out
    assert run.status() == "running"

    runtime.approve(run.id, by="ann")
    work(runtime)

    assert outcome(runtime, run) == ("placed", "receipt-o1")
    assert capsys.readouterr().out.splitlines() == [CHARGED]


def test_a_rejected_order_says_why(
    runtime: Runtime, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place(LARGE)

    runtime.reject(run.id, by="bob", comment="too much")
    work(runtime)

    assert outcome(runtime, run) == ("rejected", "too much")
    assert CHARGED not in capsys.readouterr().out


def test_an_order_nobody_decides_on_expires(
    runtime: Runtime, place: Place, clock: VirtualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place(LARGE)
    clock.advance(PATIENCE - timedelta(seconds=1))
    work(runtime)
    assert run.status() == "running"

    clock.advance(timedelta(seconds=1))
    work(runtime)

    assert outcome(runtime, run) == ("expired", "nobody decided in time")
    assert CHARGED not in capsys.readouterr().out
    with pytest.raises(RefusedByState):
        runtime.approve(run.id, by="ann")


def test_who_decided_is_kept(runtime: Runtime, place: Place) -> None:
    run = place(LARGE)

    runtime.approve(run.id, by="ann", comment="within budget")
    work(runtime)

    (event,) = [event for event in runtime.events(run.id) if event.type == "approval.decided"]
    assert event.data == {"approved": True, "by": "ann", "reason": "within budget"}


@pytest.mark.parametrize("entrypoint", ["order", "graph"])
def test_a_crash_anywhere_changes_nothing_that_is_stored(
    crash_everywhere: CrashEverywhere, entrypoint: str
) -> None:
    survived = crash_everywhere(
        approval,
        LARGE,
        entrypoint=entrypoint,
        during=lambda runtime, run: runtime.approve(run.id, by="ann"),
        ignore=["*.at"],
    )

    assert len(survived.points) > 5
