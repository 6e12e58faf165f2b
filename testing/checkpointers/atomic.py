"""atomic_update: one atomic read-modify-write against every other writer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from stepwell.engine.checkpoints.checkpoint import (
    AtomicCheckpointer,
    Checkpoint,
    Operation,
    is_atomic,
)
from stepwell.engine.errors import InvalidInput, NoCheckpoint
from stepwell.testing.checkpointers.case import (
    ID,
    CheckpointerCase,
    OpenCheckpointer,
    checkpoint,
    close,
    full,
    operation,
)

THREADS = 8
TIMES = 10


class Interruption(BaseException):
    """Not an Exception, like a signal that unwinds an execution."""


def increment(found: Checkpoint) -> None:
    """Count, and record an operation for it."""
    count = found.variables.get("count", 0) + 1
    found.variables["count"] = count
    found.operations.append(Operation(name="count", occurrence=count))


def is_counted(found: Checkpoint, times: int) -> bool:
    """Whether no `increment` was lost."""
    occurrences = [one.occurrence for one in found.operations]
    return found.variables == {"count": times} and occurrences == [*range(1, times + 1)]


class AtomicTests(CheckpointerCase):
    """One writer after another."""

    def test_what_changed_is_stored_and_returned(self, atomic: AtomicCheckpointer) -> None:
        atomic.save_checkpoint(full())

        def change(found: Checkpoint) -> None:
            assert found == full()
            found.variables["new"] = 1
            found.operations[0] = operation(1)
            found.operations.append(operation(2))
            found.wait = None

        returned = atomic.atomic_update(ID, change)

        assert returned == atomic.load_checkpoint(ID)
        assert returned.operations == [operation(1), *full().operations[1:], operation(2)]
        assert (returned.variables["new"], returned.wait) == (1, None)

    def test_operations_can_be_taken_away(self, atomic: AtomicCheckpointer) -> None:
        atomic.save_checkpoint(full())

        atomic.atomic_update(ID, lambda found: found.operations.pop(0))

        assert atomic.load_checkpoint(ID).operations == full().operations[1:]

    def test_an_update_keeps_fields_of_a_later_version(self, atomic: AtomicCheckpointer) -> None:
        atomic.save_checkpoint(checkpoint(later=[1]))

        atomic.atomic_update(ID, increment)

        assert atomic.load_checkpoint(ID).model_dump()["later"] == [1]

    @pytest.mark.parametrize("error", [ValueError("no"), KeyError("k"), Interruption()])
    def test_an_error_is_passed_on_and_nothing_stored(
        self, atomic: AtomicCheckpointer, error: BaseException
    ) -> None:
        atomic.save_checkpoint(full())

        def change(found: Checkpoint) -> None:
            found.variables.clear()
            raise error

        with pytest.raises(type(error)) as caught:
            atomic.atomic_update(ID, change)

        assert caught.value is error
        assert atomic.load_checkpoint(ID) == full()
        atomic.atomic_update(ID, increment)

    def test_without_a_checkpoint_change_is_never_called(self, atomic: AtomicCheckpointer) -> None:
        calls: list[object] = []

        with pytest.raises(NoCheckpoint, match=ID):
            atomic.atomic_update(ID, calls.append)

        assert calls == []

    def test_an_update_to_what_cannot_be_stored_is_refused(
        self, atomic: AtomicCheckpointer
    ) -> None:
        atomic.save_checkpoint(full())

        with pytest.raises(InvalidInput, match="variables"):
            atomic.atomic_update(ID, lambda found: found.variables.update(x={1, 2}))

        assert atomic.load_checkpoint(ID) == full()

    def test_the_execution_stays_the_same(self, atomic: AtomicCheckpointer) -> None:
        atomic.save_checkpoint(full())

        with pytest.raises(InvalidInput, match="execution_id"):
            atomic.atomic_update(ID, lambda found: setattr(found, "execution_id", "other"))

        assert atomic.load_checkpoint(ID) == full()
        with pytest.raises(NoCheckpoint):
            atomic.load_checkpoint("other")

    def test_threads_lose_nothing(self, atomic: AtomicCheckpointer) -> None:
        atomic.save_checkpoint(checkpoint())

        with ThreadPoolExecutor(THREADS) as threads:
            work = [
                threads.submit(atomic.atomic_update, ID, increment) for _ in range(THREADS * TIMES)
            ]
            for future in work:
                future.result()

        assert is_counted(atomic.load_checkpoint(ID), THREADS * TIMES)

    def test_two_objects_lose_nothing(
        self, atomic: AtomicCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        atomic.save_checkpoint(checkpoint())
        other = open_checkpointer()
        assert is_atomic(other)

        def count(store: AtomicCheckpointer) -> None:
            for _ in range(TIMES):
                store.atomic_update(ID, increment)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(count, (atomic, other)))
        if other is not atomic:
            close(other)

        assert is_counted(atomic.load_checkpoint(ID), 2 * TIMES)

    def test_executions_do_not_mix(self, atomic: AtomicCheckpointer) -> None:
        ids = [f"run/{number}" for number in range(THREADS)]
        for id in ids:
            atomic.save_checkpoint(checkpoint(id))

        with ThreadPoolExecutor(THREADS) as threads:
            for future in [
                threads.submit(atomic.atomic_update, id, increment) for id in ids * TIMES
            ]:
                future.result()

        assert all(is_counted(atomic.load_checkpoint(id), TIMES) for id in ids)
