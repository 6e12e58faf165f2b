"""A worker that is frozen for three leases and thaws: its commit is refused."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

from stepwell import EventType, RunStatus, Runtime
from tests.trust.clocks.conftest import Spawn
from tests.trust.clocks.worker_process import PATIENCE, all_once, commits

LEASE = 0.6


def test_a_frozen_worker_thaws_to_find_its_step_done(
    runtime: Runtime, spawn: Spawn, pipes: list[Path]
) -> None:
    # given: a worker that is frozen in the middle of a step, for three leases
    run = runtime.start_run("sample", {"pipe": str(pipes[0].with_name("pipe"))})
    ghost = spawn(LEASE)
    assert ghost.hear("waiting") == "waiting 1"
    ghost.tell(signal.SIGSTOP)
    frozen = time.monotonic()

    # when: its lease lapses, and another one comes to the end of the step
    other = spawn(LEASE)
    assert other.hear("waiting") == "waiting 2"
    pipes[1].write_text("other\n")
    ended = run.wait(PATIENCE)
    time.sleep(max(0.0, frozen + 3 * LEASE - time.monotonic()))  # what three leases are
    ghost.tell(signal.SIGCONT)
    pipes[0].write_text("ghost\n")

    # then: the ghost comes to its end, too, and leaves no trace
    assert ghost.hear("through") == "through 1"
    assert ended.status is RunStatus.SUCCEEDED
    other.tell(signal.SIGTERM)
    assert other.await_end()[0] == 0
    again = runtime.start_run("sample", {"chains": 1, "links": 1, "ms": 0})
    assert again.wait(PATIENCE).status is RunStatus.SUCCEEDED  # by the ghost, which lives
    assert runtime.result(run.id, "gate").value == "other"
    assert commits(runtime, run.id) == Counter({"gate": 1, "last": 1})
    gate = runtime.step(run.id, "gate")
    lapsed = [e.step_id for e in runtime.events(run.id) if e.type is EventType.STEP_LAPSED]
    assert (gate.attempt, lapsed) == (2, ["gate"])

    # then: it was told, and goes on as any other
    ghost.tell(signal.SIGTERM)
    assert ghost.await_end()[0] == 0
    assert commits(runtime, again.id) == all_once(runtime, again.id)


def test_a_frozen_worker_that_nobody_replaced_goes_on(
    runtime: Runtime, spawn: Spawn, pipes: list[Path]
) -> None:
    # given: a worker that is frozen in the middle of a step, with nobody to take the step back
    run = runtime.start_run("sample", {"pipe": str(pipes[0].with_name("pipe"))})
    ghost = spawn(LEASE)
    assert ghost.hear("waiting") == "waiting 1"
    ghost.tell(signal.SIGSTOP)
    time.sleep(3 * LEASE)  # what three leases are

    # when
    ghost.tell(signal.SIGCONT)
    pipes[0].write_text("here\n")

    # then: the step is done once, whether it found its lease still there or took a new one
    while not run.status().ended:
        line = ghost.line()
        assert line, "the worker ended"
        if line == "waiting 2":
            pipes[1].write_text("here\n")
        if line.startswith("body last"):
            run.wait(PATIENCE)
    assert run.status() is RunStatus.SUCCEEDED
    assert commits(runtime, run.id) == Counter({"gate": 1, "last": 1})
