"""Pause and unpause, through the checkpoint alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.checkpoints.capabilities import pause_in_checkpoint, unpause_in_checkpoint
from stepwell.engine.checkpoints.checkpoint import (
    Checkpoint,
    Checkpointer,
    CheckpointStatus,
    CheckpointWait,
    is_atomic,
)
from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import NoCheckpoint, RefusedByState
from stepwell.testing.checkpointers.case import (
    ID,
    MINUTE,
    NOON,
    CheckpointerCase,
    checkpoint,
    full,
)


def sleeping(wake_in: timedelta = 10 * MINUTE) -> Checkpoint:
    """An execution that waits, as of noon."""
    wait = CheckpointWait(kind="sleep", operation="nap", wake_at=NOON + wake_in)
    return checkpoint(status="waiting", wait=wait)


class PauseTests(CheckpointerCase):
    """With atomic_update, and with load and save."""

    @pytest.fixture
    def clock(self) -> VirtualClock:
        """It is noon."""
        return VirtualClock(NOON)

    def test_a_pause_is_asked_for_with_its_reason(self, store: Checkpointer) -> None:
        store.save_checkpoint(checkpoint(variables={"n": 1}))

        returned = pause_in_checkpoint(store, ID, "maintenance")

        assert returned == store.load_checkpoint(ID)
        assert returned == checkpoint(
            variables={"n": 1}, pause_requested=True, pause_reason="maintenance"
        )

    def test_a_pause_freezes_the_wait(self, store: Checkpointer, clock: VirtualClock) -> None:
        store.save_checkpoint(sleeping())
        clock.advance(4 * MINUTE)

        wait = pause_in_checkpoint(store, ID, clock=clock).wait

        assert wait is not None
        assert (wait.wake_at, wait.remaining) == (None, 360)

    def test_the_time_left_starts_again(self, store: Checkpointer, clock: VirtualClock) -> None:
        store.save_checkpoint(sleeping())
        pause_in_checkpoint(store, ID, "lunch", clock=clock)
        clock.advance(timedelta(days=3))

        unpause_in_checkpoint(store, ID, clock=clock)

        assert store.load_checkpoint(ID) == sleeping(timedelta(days=3) + 10 * MINUTE)

    def test_a_wait_that_is_over_has_no_time_left(
        self, store: Checkpointer, clock: VirtualClock
    ) -> None:
        store.save_checkpoint(sleeping())
        clock.advance(timedelta(hours=1))

        wait = pause_in_checkpoint(store, ID, clock=clock).wait

        assert wait is not None
        assert wait.remaining == 0

    def test_a_second_pause_takes_no_time_away(
        self, store: Checkpointer, clock: VirtualClock
    ) -> None:
        store.save_checkpoint(sleeping())
        pause_in_checkpoint(store, ID, "first", clock=clock)
        clock.advance(5 * MINUTE)

        again = pause_in_checkpoint(store, ID, "second", clock=clock)

        assert again.wait is not None
        assert (again.wait.remaining, again.pause_reason) == (600, "second")

    def test_a_wait_without_an_end_stays_one(
        self, store: Checkpointer, clock: VirtualClock
    ) -> None:
        endless = checkpoint(
            status="waiting", wait=CheckpointWait(kind="receive", operation="a", topic="t")
        )
        store.save_checkpoint(endless)

        pause_in_checkpoint(store, ID, clock=clock)
        unpause_in_checkpoint(store, ID, clock=clock)

        assert store.load_checkpoint(ID) == endless

    @pytest.mark.parametrize(
        ("before", "during", "after"),
        [("running", "running", "running"), ("waiting", "paused", "waiting")],
    )
    def test_the_status_tells_who_stands_still(
        self,
        store: Checkpointer,
        before: CheckpointStatus,
        during: CheckpointStatus,
        after: CheckpointStatus,
    ) -> None:
        saved = sleeping()
        saved.status = before
        store.save_checkpoint(saved)

        assert pause_in_checkpoint(store, ID).status == during
        assert unpause_in_checkpoint(store, ID).status == after

    def test_unpause_without_a_pause_changes_nothing(self, store: Checkpointer) -> None:
        store.save_checkpoint(sleeping())

        unpause_in_checkpoint(store, ID)

        assert store.load_checkpoint(ID) == sleeping()

    def test_operations_stay(self, store: Checkpointer) -> None:
        store.save_checkpoint(full())

        pause_in_checkpoint(store, ID)
        unpause_in_checkpoint(store, ID)

        assert store.load_checkpoint(ID).operations == full().operations

    def test_what_completed_is_not_paused(self, store: Checkpointer) -> None:
        store.save_checkpoint(checkpoint(status="completed"))

        with pytest.raises(RefusedByState, match="completed"):
            pause_in_checkpoint(store, ID)

        assert store.load_checkpoint(ID) == checkpoint(status="completed")

    def test_without_a_checkpoint_there_is_nothing_to_pause(self, store: Checkpointer) -> None:
        with pytest.raises(NoCheckpoint):
            pause_in_checkpoint(store, ID)
        with pytest.raises(NoCheckpoint):
            unpause_in_checkpoint(store, ID)

    def test_a_pause_is_atomic_where_it_can_be(
        self, store: Checkpointer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save_checkpoint(checkpoint())
        saved: list[object] = []
        monkeypatch.setattr(store, "save_checkpoint", saved.append)

        pause_in_checkpoint(store, ID)

        assert len(saved) == (0 if is_atomic(store) else 1)
