"""Checkpoints that other processes can reach."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from stepwell.engine.checkpoints.checkpoint import (
    AtomicCheckpointer,
    Checkpoint,
    Checkpointer,
    JournalingCheckpointer,
    is_atomic,
    journals,
)
from stepwell.engine.errors import NoCheckpoint
from stepwell.testing.checkpointers.atomic import increment, is_counted
from stepwell.testing.checkpointers.case import (
    ID,
    CheckpointerCase,
    OpenCheckpointer,
    checkpoint,
    close,
    full,
    operation,
    update,
)

PROCESSES = 3
TIMES = 25
# Records of several thousand bytes, so that a kill sometimes hits the middle of one.
BODY = "x" * 20_000
KILLS = 4
ACKNOWLEDGED = 15


def count(open_checkpointer: OpenCheckpointer) -> None:
    """The work of each of several processes."""
    store = open_checkpointer()
    assert is_atomic(store)
    for _ in range(TIMES):
        store.atomic_update(ID, increment)
    close(store)


def record_mine(open_checkpointer: OpenCheckpointer, number: int) -> None:
    """Record operations that no other process records."""
    store = open_checkpointer()
    assert journals(store)
    for occurrence in range(1, TIMES + 1):
        store.record(update(operation(occurrence, name=f"process-{number}")))
    close(store)


def die_in_change(open_checkpointer: OpenCheckpointer) -> None:
    """Be killed between the load and the save."""
    store = open_checkpointer()
    assert is_atomic(store)

    def change(found: Checkpoint) -> None:
        increment(found)
        os.kill(os.getpid(), signal.SIGKILL)

    store.atomic_update(ID, change)


def record_and_tell(open_checkpointer: OpenCheckpointer, first: int, told: Any) -> None:
    """Record without end, and report each number when it is stored."""
    store = open_checkpointer()
    assert journals(store)
    number = first
    while True:
        store.record(update(operation(number, value=BODY), variables={"last": number}))
        os.write(told.fileno(), b"%d\n" % number)
        number += 1


def save_and_tell(open_checkpointer: OpenCheckpointer, first: int, told: Any) -> None:
    """Save complete checkpoints without end, and report each number when it is stored."""
    store = open_checkpointer()
    number = first
    while True:
        values = [operation(n, value=number) for n in range(1, 50)]
        store.save_checkpoint(checkpoint(inputs=[number] * 2_000, operations=values))
        os.write(told.fileno(), b"%d\n" % number)
        number += 1


def in_processes(*works: tuple[Callable[..., None], tuple[Any, ...]]) -> list[int | None]:
    """Run each in a process that shares nothing with this one; their exit codes."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=work, args=given) for work, given in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def killed_in_the_middle(
    work: Callable[..., None], open_checkpointer: OpenCheckpointer, first: int
) -> int:
    """Kill a process that stores without end; returns the last number it reported."""
    spawn = multiprocessing.get_context("spawn")
    hear, tell = spawn.Pipe(duplex=False)
    process = spawn.Process(target=work, args=(open_checkpointer, first, tell))
    process.start()
    tell.close()
    heard = b""
    with os.fdopen(os.dup(hear.fileno()), "rb", buffering=0) as stream:
        while heard.count(b"\n") < ACKNOWLEDGED:
            piece = stream.read(4096)
            assert piece, "the process ended by itself"
            heard += piece
        process.kill()
        while piece := stream.read(4096):
            heard += piece
    process.join()
    hear.close()
    return int(heard.rpartition(b"\n")[0].splitlines()[-1])


class SharedTests(CheckpointerCase):
    """Several processes, and some that are killed."""

    def test_processes_lose_nothing(
        self, atomic: AtomicCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        atomic.save_checkpoint(checkpoint())

        exits = in_processes(*[(count, (open_checkpointer,))] * PROCESSES)

        assert exits == [0] * PROCESSES
        assert is_counted(atomic.load_checkpoint(ID), PROCESSES * TIMES)

    def test_records_of_processes_do_not_harm_each_other(
        self, journal: JournalingCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        exits = in_processes(*((record_mine, (open_checkpointer, n)) for n in range(PROCESSES)))

        found = journal.load_checkpoint(ID).operations
        assert exits == [0] * PROCESSES
        for number in range(PROCESSES):
            mine = [one.occurrence for one in found if one.name == f"process-{number}"]
            assert mine == [*range(1, TIMES + 1)]

    def test_a_change_that_was_killed_is_undone(
        self, atomic: AtomicCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        atomic.save_checkpoint(full())

        assert in_processes((die_in_change, (open_checkpointer,))) == [-signal.SIGKILL]

        assert atomic.load_checkpoint(ID) == full()
        atomic.atomic_update(ID, increment)

    def test_what_another_process_deleted_is_gone(
        self, store: Checkpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        store.save_checkpoint(full())

        assert in_processes((delete, (open_checkpointer,))) == [0]

        with pytest.raises(NoCheckpoint):
            store.load_checkpoint(ID)

    def test_what_was_told_to_be_recorded_is_there_after_a_kill(
        self, journal: JournalingCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        last = 0
        for _ in range(KILLS):
            told = killed_in_the_middle(record_and_tell, open_checkpointer, last + 1)

            loaded = journal.load_checkpoint(ID)
            last = loaded.variables["last"]
            assert last in (told, told + 1)
            assert [one.occurrence for one in loaded.operations] == [*range(1, last + 1)]
            assert all(one.value == BODY for one in loaded.operations)

    def test_a_save_that_was_killed_is_there_whole_or_not_at_all(
        self, store: Checkpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        last = 0
        for _ in range(KILLS):
            told = killed_in_the_middle(save_and_tell, open_checkpointer, last + 1)

            loaded = store.load_checkpoint(ID)
            last = loaded.inputs[0]
            assert last in (told, told + 1)
            assert {one.value for one in loaded.operations} == {last} == {*loaded.inputs}


def delete(open_checkpointer: OpenCheckpointer) -> None:
    """Delete the checkpoint."""
    store = open_checkpointer()
    store.delete_checkpoint(ID)
    close(store)
