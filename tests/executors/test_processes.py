"""The process pool: real children, killed, crashed and canceled."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stepwell.engine.errors import NotFound
from stepwell.engine.exchange import Completed, Edge, Failed, NewRun, Suspended
from stepwell.engine.model import ExecutorOptions, StepResult
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.services import Services
from stepwell.engine.states import StepStatus
from stepwell.engine.step.execution import Execution
from stepwell.executors.pools.process.pool import ProcessPool
from stepwell.executors.registry import Registry
from tests.executors import bodies
from tests.executors.fakes import PATIENCE, FakeReads, Outbox, claimed, services
from tests.executors.fifo import Fifo, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
BEFORE = StepResult(
    *("run1", "before", StepStatus.SUCCEEDED, [1], (), (), ()),
    None,
    datetime(2030, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path / "fifo")
    yield fifo
    fifo.close()


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def shared() -> Services:
    reads = FakeReads(
        [("before", "some.kind", "succeeded", "[1]")], {"other": "running"}, {"before": BEFORE}
    )
    return services(Registry([bodies.pack]), reads, kill_grace=0.2)


@pytest.fixture
def pool(outbox: Outbox, shared: Services) -> Iterator[ProcessPool]:
    pool = ProcessPool(1, outbox, shared, "worker1")
    yield pool
    pool.shutdown(PATIENCE)
    assert multiprocessing.active_children() == []


@pytest.fixture
def task(shared: Services) -> Callable[..., Execution]:
    def make(kind: str, input: object = None) -> Execution:
        return Execution(claimed(kind, input), "worker1", shared)

    return make


Make = Callable[..., Execution]


def test_a_child_is_used_again(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.pid"), task("test.pid")])

    first, second = outbox.value(), outbox.value()
    assert first == second != str(os.getpid())


def test_children_work_side_by_side(
    outbox: Outbox, shared: Services, task: Make, fifo: Fifo
) -> None:
    pool = ProcessPool(2, outbox, shared, "worker1")
    waiting = [task("test.wait", fifo.path), task("test.wait", fifo.path)]

    pool.submit(waiting)

    assert fifo.line() != fifo.line()
    for each in waiting:
        pool.cancel(each)
    assert [outbox.value(), outbox.value()] == ['"canceled=True"'] * 2
    pool.shutdown(PATIENCE)


def test_without_a_thread_to_be_had_a_step_fails(
    outbox: Outbox, shared: Services, task: Make
) -> None:
    pool = ProcessPool(2, outbox, shared, "worker1")
    before = threading.stack_size(1 << 46)  # nobody has so much room for a stack
    try:
        pool.submit([task("test.pid"), task("test.pid")])
    finally:
        threading.stack_size(before)

    assert [outbox.failure().code for _ in range(2)] == ["thread_start"] * 2
    pool.submit([task("test.pid")])
    assert outbox.value().isdigit()
    pool.shutdown(PATIENCE)


def test_coroutines_run_in_a_child(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.coroutine", {"item": "pen"})])

    assert outbox.value() == '"pen"'


def test_everything_a_step_makes_comes_back(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.everything", {"item": "pen", "count": 2})])

    outcome = outbox.outcome()
    assert isinstance(outcome, Completed), outcome
    assert outcome.value == (
        '{"dependencies":{"before":[1]},"status":"running","result":[1],"key":"run1/step1"}'
    )
    assert [(r.collection, r.key, r.value) for r in outcome.records] == [
        ("orders", "pen", '{"count":2}')
    ]
    assert [(a.name, a.body) for a in outcome.artifacts] == [
        ("raw", b"\xff\x00raw"),
        ("note", b"text"),
    ]
    assert [(s.id, s.kind, s.edges) for s in outcome.emitted] == [
        ("first", "test.coroutine", ()),
        ("step1/test.pid:1", "test.pid", (Edge("first"),)),
    ]


def test_an_emission_is_checked_in_the_child(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.bad_emit")])

    failure = outbox.failure()
    assert failure.code == "invalid_payload"
    assert "count" in failure.message


def test_a_store_in_memory_is_refused_with_advice(
    pool: ProcessPool, outbox: Outbox, task: Make
) -> None:
    pool.submit([task("test.large")])

    assert "one on disk" in outbox.failure().message


def test_a_child_run_is_built_by_the_parent(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.suspend")])

    outcome = outbox.outcome()
    assert isinstance(outcome, Suspended), outcome
    assert isinstance(outcome.wait.start, NewRun)
    assert outcome.wait.run_id == outcome.wait.start.id
    assert outcome.wait.start.input == '{"n":1}'


def test_an_error_of_a_call_reaches_the_body(outbox: Outbox, task: Make, shared: Services) -> None:
    def refuse(*_: object) -> NewRun:
        raise NotFound("there is no package 'pack'")

    shared.build_run = refuse
    pool = ProcessPool(1, outbox, shared, "worker1")
    pool.submit([task("test.suspend")])

    assert outbox.failure().code == "not_found"
    pool.shutdown(PATIENCE)


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt"])
def test_what_a_body_raises_leaves_the_child_alive(
    pool: ProcessPool, outbox: Outbox, task: Make, name: str
) -> None:
    pool.submit([task("test.pid"), task("test.raise", name), task("test.pid")])

    before = outbox.value()
    assert outbox.failure().code == name
    assert outbox.value() == before


def test_a_failure_keeps_its_code_and_details(
    pool: ProcessPool, outbox: Outbox, task: Make
) -> None:
    pool.submit([task("test.raise", "Permanent")])

    failure = outbox.failure()
    assert (failure.code, failure.message, dict(failure.details)) == (
        "no_way",
        "never",
        {"why": "so"},
    )
    assert "raise_it" in (failure.cause or "")


def test_a_child_that_exits_fails_its_attempt_by_policy(
    pool: ProcessPool, outbox: Outbox, task: Make
) -> None:
    pool.submit([task("test.exit"), task("test.pid")])

    outcome = outbox.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "process_died"
    assert outcome.failure.details == {"exit_code": 3}
    assert outcome.retry_in is not None
    assert int(outbox.value())


def test_a_crash_names_its_signal(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.crash"), task("test.pid")])

    failure = outbox.failure()
    assert failure.code == "process_died"
    assert "SIGSEGV" in failure.message
    assert int(outbox.value())


def test_a_child_out_of_memory_costs_its_step_alone(outbox: Outbox) -> None:
    limited = services(Registry([bodies.pack]), FakeReads(), memory_limit=256 << 20)
    pool = ProcessPool(1, outbox, limited, "worker1")

    pool.submit([Execution(claimed("test.take", n), "worker1", limited) for n in (32, 512, 32)])

    first = outbox.value()
    assert outbox.failure().code == "MemoryError"
    # What the first two kept is gone with their child.
    assert outbox.value() != first
    pool.shutdown(PATIENCE)


def test_an_idle_child_that_died_is_replaced(pool: ProcessPool, outbox: Outbox, task: Make) -> None:
    pool.submit([task("test.pid")])
    child = int(outbox.value())
    os.kill(child, signal.SIGKILL)
    wait_until_gone(child)

    pool.submit([task("test.pid")])

    assert int(outbox.value()) != child


def test_a_body_that_ends_when_canceled_keeps_its_child(
    pool: ProcessPool, outbox: Outbox, task: Make, fifo: Fifo
) -> None:
    waiting = task("test.wait", fifo.path)
    pool.submit([waiting])
    child = fifo.line()

    pool.cancel(waiting)

    assert outbox.value() == '"canceled=True"'
    pool.submit([task("test.pid")])
    assert outbox.value() == child


def test_sigterm_unwinds_a_canceled_body(
    pool: ProcessPool, outbox: Outbox, task: Make, fifo: Fifo
) -> None:
    stuck = task("test.unwind", fifo.path)
    pool.submit([stuck])
    child = int(fifo.line())

    pool.cancel(stuck)

    assert fifo.line() == "unwound"
    assert outbox.failure().code == "canceled"
    wait_until_gone(child)


def test_a_child_that_ignores_everything_is_killed_with_its_children(
    pool: ProcessPool, outbox: Outbox, task: Make, fifo: Fifo
) -> None:
    stubborn = task("test.stubborn", fifo.path)
    pool.submit([stubborn])
    child, grandchild = map(int, fifo.line().split())

    pool.cancel(stubborn)

    assert outbox.failure().details == {"signal": "SIGKILL"}
    wait_until_gone(child)
    wait_until_gone(grandchild)
    pool.submit([task("test.pid")])
    assert int(outbox.value()) != child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_from_elsewhere_do_not_stop_a_child(
    pool: ProcessPool, outbox: Outbox, task: Make, number: signal.Signals
) -> None:
    pool.submit([task("test.signal", int(number)), task("test.pid")])

    child = outbox.value()
    assert outbox.value() == child
    assert os.getpgid(int(child)) != os.getpgrp()


def test_shutdown_kills_what_does_not_end(
    pool: ProcessPool, outbox: Outbox, task: Make, fifo: Fifo
) -> None:
    pool.submit([task("test.stubborn", fifo.path), task("test.pid")])
    child, grandchild = map(int, fifo.line().split())

    pool.shutdown(0)

    assert outbox.failure().code == "process_died"
    wait_until_gone(child)
    wait_until_gone(grandchild)
    assert outbox.is_empty()


def test_a_function_that_no_child_can_find_is_explained(outbox: Outbox) -> None:
    def local() -> None: ...

    registry = Registry()
    options = ExecutorOptions(pool="process")
    registry.register(ExecutorFunction("test.local", local, options))
    given = services(registry)
    pool = ProcessPool(1, outbox, given, "worker1")
    pool.submit([Execution(claimed("test.local"), "worker1", given)])

    failure = outbox.failure()
    assert failure.code == "invalid_package"
    assert "top level" in failure.message
    pool.shutdown(PATIENCE)


def test_a_kind_registered_later_gets_a_new_child(outbox: Outbox) -> None:
    registry = Registry()
    registry.register(bodies.pid)
    given = services(registry)
    pool = ProcessPool(1, outbox, given, "worker1")
    pool.submit([Execution(claimed("test.pid"), "worker1", given)])
    first = outbox.value()

    registry.register(bodies.coroutine)
    pool.submit([Execution(claimed("test.coroutine", {"item": "pen"}), "worker1", given)])
    assert outbox.value() == '"pen"'
    pool.submit([Execution(claimed("test.pid"), "worker1", given)])

    assert outbox.value() != first
    pool.shutdown(PATIENCE)


PROGRAM = """
import os, sys
from stepwell.engine.step.context import StepContext
from stepwell.engine.step.execution import Execution
from stepwell.engine.package import Package
from stepwell.executors.pools.process.pool import ProcessPool
from stepwell.executors.registry import Registry
from tests.executors.fakes import Outbox, claimed, services

pack = Package("pack")

@pack.entrypoint
def start(run): ...

@pack.executor("own", pool="process")
def own(step: StepContext) -> int:
    if step.input:
        from tests.executors.bodies import tell
        tell(step.input, str(os.getpid()))
        import threading
        threading.Event().wait()
    return os.getpid()

def main():
    outbox, shared = Outbox(), services(Registry([pack]))
    pool = ProcessPool(1, outbox, shared, "worker1")
    pool.submit([Execution(claimed("own", *sys.argv[1:]), "worker1", shared)])
    print(outbox.value() != str(os.getpid()))
    if "leave" not in os.environ:
        pool.shutdown(30)

if __name__ == "__main__":
    main()
"""


def launch(arguments: list[str], folder: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("arguments", [["program.py"], ["-m", "program"], ["console"]])
def test_a_program_uses_its_own_functions(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "console").write_text(
        "import sys\nfrom program import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )

    out, err = launch(arguments, tmp_path).communicate(timeout=PATIENCE)

    assert (out, err) == ("True\n", "")


def test_a_program_that_forgets_to_close_its_pool_still_ends(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)

    out, err = launch(["program.py"], tmp_path, leave="yes").communicate(timeout=PATIENCE)

    assert (out, err) == ("True\n", "")


def test_a_child_dies_with_its_parent(tmp_path: Path, fifo: Fifo) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    parent = launch(["program.py", fifo.path], tmp_path)
    child = int(fifo.line())

    parent.kill()
    parent.communicate(timeout=PATIENCE)

    wait_until_gone(child)
