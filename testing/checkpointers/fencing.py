"""`fenced`: without the lease, nothing is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stepwell.engine.checkpoints.capabilities import pause_in_checkpoint, record
from stepwell.engine.checkpoints.checkpoint import (
    AtomicCheckpointer,
    Checkpoint,
    Checkpointer,
    JournalingCheckpointer,
    is_atomic,
    journals,
)
from stepwell.engine.checkpoints.fence import fenced
from stepwell.engine.errors import LeaseLost
from stepwell.testing.checkpointers.case import ID, CheckpointerCase, full, operation, update


def refuse() -> bool:
    """Reports a lost lease by returning False."""
    return False


def explode() -> None:
    """Reports a lost lease by raising."""
    raise LeaseLost("another worker has it")


WRITES: dict[str, Callable[[Checkpointer], object]] = {
    "save": lambda store: store.save_checkpoint(full()),
    "record": lambda store: record(store, update(operation(1))),
    "pause": lambda store: pause_in_checkpoint(store, ID),
    "delete": lambda store: store.delete_checkpoint(ID),
}


class FenceTests(CheckpointerCase):
    """Every write checks the lease first."""

    @pytest.mark.parametrize("check", [refuse, explode])
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_a_lost_lease_writes_nothing(
        self,
        store: Checkpointer,
        write: Callable[[Checkpointer], object],
        check: Callable[[], object],
    ) -> None:
        before = full()
        before.variables = {"before": True}
        store.save_checkpoint(before)

        with pytest.raises(LeaseLost):
            write(fenced(store, check))

        assert store.load_checkpoint(ID) == before

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_a_held_lease_writes(
        self, store: Checkpointer, write: Callable[[Checkpointer], object]
    ) -> None:
        asked: list[int] = []
        store.save_checkpoint(full())

        write(fenced(store, lambda: asked.append(1)))

        assert asked

    def test_a_load_needs_no_lease(self, store: Checkpointer) -> None:
        store.save_checkpoint(full())

        assert fenced(store, refuse).load_checkpoint(ID) == full()

    def test_the_powers_stay(self, store: Checkpointer) -> None:
        guarded = fenced(store, refuse)

        assert is_atomic(guarded) == is_atomic(store) == isinstance(guarded, AtomicCheckpointer)
        assert journals(guarded) == journals(store) == isinstance(guarded, JournalingCheckpointer)

    def test_a_lease_lost_during_an_atomic_update_stores_nothing(
        self, atomic: AtomicCheckpointer
    ) -> None:
        atomic.save_checkpoint(full())
        held = [True]
        guarded = fenced(atomic, lambda: held[0])
        assert is_atomic(guarded)

        def change(found: Checkpoint) -> None:
            found.variables.clear()
            held[0] = False

        with pytest.raises(LeaseLost):
            guarded.atomic_update(ID, change)

        assert atomic.load_checkpoint(ID) == full()
