"""What a body can do to its child process and the connection to the worker, and what it costs."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.engine.step.execution import Execution
from stepwell.executors.pools.process import child_main
from stepwell.executors.pools.process.channel import Garbled, Incoming, framed
from stepwell.executors.pools.process.child_process import ChildProcess
from stepwell.executors.pools.process.pool import ProcessPool
from stepwell.executors.pools.process.snapshot import Setup
from stepwell.executors.pools.process.wire import pack, pack_outcome, unpack
from stepwell.executors.registry import Registry
from stepwell.testing.builders import completed
from tests.executors import bodies
from tests.executors.fakes import PATIENCE, Outbox, claimed, services
from tests.executors.fifo import Fifo, wait_until_gone

SHARED = services(Registry([bodies.pack]), kill_grace=0.2)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def pool(outbox: Outbox) -> Iterator[ProcessPool]:
    pool = ProcessPool(1, outbox, SHARED, "worker1")
    yield pool
    pool.shutdown(PATIENCE)
    assert multiprocessing.active_children() == []


@pytest.fixture
def fork_path(tmp_path: Path) -> str:
    path = tmp_path / "fork"
    os.mkfifo(path)
    return str(path)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path / "fifo")
    yield fifo
    fifo.close()


def task(kind: str, input: object = None) -> Execution:
    return Execution(claimed(kind, input), "worker1", SHARED)


def test_a_fork_that_returns_later_says_nothing(
    pool: ProcessPool, outbox: Outbox, fork_path: str
) -> None:
    pool.submit([task("test.fork", fork_path)])
    assert outbox.value() == '"child"'

    pool.submit([task("test.meet_fork", fork_path), task("test.pid")])

    assert outbox.value() == '"next"'
    assert int(outbox.value())
    assert outbox.is_empty()


def test_a_fork_cannot_ask_about_the_step(pool: ProcessPool, outbox: Outbox, fifo: Fifo) -> None:
    pool.submit([task("test.fork_asks", fifo.path)])

    assert "a fork of the process" in fifo.line()
    assert outbox.value() == "null"


def outcome_of_step(number: int) -> str:
    return framed(pack_outcome(number, completed(claimed("test.pid"), "forged"))).hex()


GARBAGE = {
    "text": b"print(1)".hex(),
    "a huge size of multiprocessing's": (b"\x7f\xff\xff\xff" + b"x" * 100).hex(),
    "a huge size of ours": (framed(b"")[:-8] + b"\x7f" * 8).hex(),
    "no JSON": framed(b"\0\0\0\5hello").hex(),
    "not an object": framed(b"\0\0\0\2[]").hex(),
    "no known fields": framed(pack({"type": "outcome", "number": 1})).hex(),
    "another step's outcome": outcome_of_step(7),
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_a_body_writes_to_the_connection_ends_its_child(
    pool: ProcessPool, outbox: Outbox, fifo: Fifo, text: str
) -> None:
    pool.submit([task("test.write_everywhere", [text, fifo.path]), task("test.pid")])

    failure = outbox.failure()
    assert failure.code == "process_died"
    assert "its connection to the worker carried" in failure.message
    assert int(outbox.value())


@pytest.mark.parametrize("end", ["cancel", "shutdown"])
def test_half_a_message_holds_up_neither_cancel_nor_shutdown(
    outbox: Outbox, fifo: Fifo, end: str
) -> None:
    pool = ProcessPool(1, outbox, SHARED, "worker1")
    half = framed(b"x" * 1000)[:100].hex()
    stuck = task("test.write_everywhere", [half, fifo.path])
    pool.submit([stuck])
    assert fifo.line() == "written"

    if end == "cancel":
        pool.cancel(stuck)
    pool.shutdown(0)

    assert outbox.failure().code in ("process_died", "canceled")


def test_late_words_cost_the_child_and_not_the_next_step(
    pool: ProcessPool, outbox: Outbox, tmp_path: Path, fork_path: str
) -> None:
    done = Fifo(tmp_path / "fork.done")
    pool.submit([task("test.speak_late", fork_path)])
    child = outbox.value().strip('"')
    bodies.tell(fork_path, "speak")
    assert done.line() == "spoken"
    done.close()

    pool.submit([task("test.pid")])

    assert outbox.value() != child
    wait_until_gone(int(child))


def test_a_body_that_closes_the_connection_is_told_so(pool: ProcessPool, outbox: Outbox) -> None:
    pool.submit([task("test.close_everything"), task("test.pid")])

    failure = outbox.failure()
    assert failure.code == "process_died"
    assert "closed or read its child process's connection" in failure.message
    assert "SIGKILL" not in failure.message
    assert int(outbox.value())


def test_what_a_body_leaves_behind_ends_with_its_child(outbox: Outbox) -> None:
    pool = ProcessPool(1, outbox, SHARED, "worker1")
    pool.submit([task("test.leave_behind")])
    grandchild = int(outbox.value())

    pool.shutdown(PATIENCE)

    wait_until_gone(grandchild)


def test_a_live_child_is_buried_at_once() -> None:
    child = ChildProcess("child", Setup.of(SHARED, "worker1"))
    assert child.is_ready()

    child.dispose()
    child.kill()  # as a late caller may

    wait_until_gone(child.pid)


def test_a_runner_that_is_stuck_does_not_hold_up_the_shutdown(
    outbox: Outbox, fifo: Fifo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.executors.pools.process.pool.LAST_WAIT", 0.1)
    monkeypatch.setattr("stepwell.executors.pools.process.pool._Pressure.press", lambda *_: None)
    pool = ProcessPool(1, outbox, services(Registry([bodies.pack]), kill_grace=0), "worker1")
    pool.submit([task("test.stubborn", fifo.path)])
    child, grandchild = map(int, fifo.line().split())

    pool.shutdown(0)

    wait_until_gone(child)
    wait_until_gone(grandchild)
    assert outbox.failure().details == {"signal": "SIGKILL"}


def test_an_outcome_too_large_to_send_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_main, "frame_limit", lambda _: 200)
    ours, theirs = multiprocessing.Pipe()
    child = child_main.Child(theirs, Setup.of(SHARED, "worker1"))
    step = task("test.raise", "x" * 300).step
    message, _ = unpack(pack({"type": "run", "number": 1, "step": step}))

    header, _ = unpack(child._frame(message))  # the step raises KeyError, with all its text

    assert header["failure"]["code"] == "invalid_payload"
    assert "the limit is 200" in header["failure"]["message"]
    ours.close()
    theirs.close()


def test_a_frame_above_the_limit_is_refused() -> None:
    incoming = Incoming(limit=10)
    incoming.add(framed(b"x" * 10) + framed(b"x" * 11))

    assert incoming.take() == b"x" * 10
    with pytest.raises(Garbled, match="11 bytes; the limit is 10"):
        incoming.take()


def test_frames_are_put_together_from_single_bytes() -> None:
    incoming, frames = Incoming(limit=100), []

    for byte in framed(b"first") + framed(b"") + framed(b"last"):
        incoming.add(bytes([byte]))
        if (frame := incoming.take()) is not None:
            frames.append(frame)

    assert frames == [b"first", b"", b"last"]
    assert not incoming
