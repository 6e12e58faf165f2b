"""Recording what is new: through `engine.checkpointing.record`, which any checkpointer allows, and
through the journal alone.
"""

from __future__ import annotations

import pytest

from stepwell.engine.checkpoints.capabilities import pause_in_checkpoint, record
from stepwell.engine.checkpoints.checkpoint import (
    Checkpointer,
    CheckpointUpdate,
    CheckpointWait,
    JournalingCheckpointer,
    Operation,
)
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import NoCheckpoint
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

MANY = 10_000
# How many times longer the last records may take than the first; a cost that grows with the
# checkpoint would make it a hundred.
GROWTH = 8


class JournalTests(CheckpointerCase):
    """`record`."""

    def test_the_first_record_makes_the_checkpoint(self, store: Checkpointer) -> None:
        head = full()

        paused = record(store, CheckpointUpdate(head, (operation(1), operation(2))))

        loaded = store.load_checkpoint(ID)
        assert not paused
        assert (loaded.pause_requested, loaded.pause_reason) == (False, "")
        assert loaded.operations == [operation(1), operation(2)]
        assert loaded.wait == head.wait
        assert loaded.inputs == head.inputs

    def test_operations_are_added_at_the_end(self, store: Checkpointer) -> None:
        for number in (1, 2, 3):
            record(store, update(operation(number)))

        assert store.load_checkpoint(ID).operations == [operation(n) for n in (1, 2, 3)]

    def test_an_operation_replaces_the_one_of_its_id(self, store: Checkpointer) -> None:
        record(store, update(*(operation(n) for n in (1, 2, 3))))

        record(store, update(operation(2, value="again", attempts=2), operation(4)))

        assert store.load_checkpoint(ID).operations == [
            operation(1),
            operation(2, value="again", attempts=2),
            operation(3),
            operation(4),
        ]

    def test_name_occurrence_and_key_tell_operations_apart(self, store: Checkpointer) -> None:
        different = [
            Operation(name="a"),
            Operation(name="a", occurrence=2),
            Operation(name="a", key="1"),
            Operation(name="A"),
            Operation(name="a", key="2"),
        ]
        for one in different:
            record(store, update(one))

        assert store.load_checkpoint(ID).operations == different

    def test_the_head_is_replaced(self, store: Checkpointer) -> None:
        store.save_checkpoint(full())
        wait = CheckpointWait(kind="sleep", operation="nap")

        record(store, update(variables={"n": 1}, status="waiting", wait=wait, later=1))

        loaded = store.load_checkpoint(ID)
        assert (loaded.variables, loaded.status, loaded.wait) == ({"n": 1}, "waiting", wait)
        assert (loaded.error, loaded.end_time, loaded.inputs) == (None, None, None)
        assert loaded.model_dump()["later"] == 1
        assert loaded.operations == full().operations

    def test_the_operations_of_the_head_do_not_count(self, store: Checkpointer) -> None:
        record(store, update(operation(1)))

        record(store, update(operation(2), operations=[operation(9)]))

        assert store.load_checkpoint(ID).operations == [operation(1), operation(2)]

    def test_the_pause_flag_stays_and_is_told(self, store: Checkpointer) -> None:
        assert not record(store, update(operation(1)))
        pause_in_checkpoint(store, ID, "maintenance")

        assert record(store, update(operation(2)))
        assert record(store, update(operation(3)))

        loaded = store.load_checkpoint(ID)
        assert (loaded.pause_requested, loaded.pause_reason) == (True, "maintenance")

    def test_the_flag_of_the_head_does_not_count(self, store: Checkpointer) -> None:
        record(store, update(operation(1)))

        paused = record(store, update(operation(2), pause_requested=True, pause_reason="no"))

        assert not paused
        assert not store.load_checkpoint(ID).pause_requested

    def test_a_record_without_operations(self, store: Checkpointer) -> None:
        record(store, update(operation(1)))

        record(store, update(variables={"n": 1}))

        loaded = store.load_checkpoint(ID)
        assert (loaded.operations, loaded.variables) == ([operation(1)], {"n": 1})

    def test_save_and_record_take_turns(self, store: Checkpointer) -> None:
        record(store, update(operation(1)))
        store.save_checkpoint(checkpoint(operations=[operation(5)]))
        record(store, update(operation(1)))

        assert store.load_checkpoint(ID).operations == [operation(5), operation(1)]

    def test_after_delete_a_record_begins_anew(self, store: Checkpointer) -> None:
        record(store, update(operation(1)))
        store.delete_checkpoint(ID)
        with pytest.raises(NoCheckpoint):
            store.load_checkpoint(ID)

        record(store, update(operation(2)))

        assert store.load_checkpoint(ID).operations == [operation(2)]

    def test_what_the_caller_changes_later_is_not_stored(self, store: Checkpointer) -> None:
        head, mine = checkpoint(variables={"n": 1}), operation(1, value=[1])
        record(store, CheckpointUpdate(head, (mine,)))

        head.variables["n"] = 2
        mine.value.append(2)

        loaded = store.load_checkpoint(ID)
        assert (loaded.variables, loaded.operations) == ({"n": 1}, [operation(1, value=[1])])

    def test_two_objects_record_in_turns(
        self, journal: JournalingCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        other = open_checkpointer()
        for number in range(1, 21):
            record(other if number % 2 else journal, update(operation(number)))
        if other is not journal:
            close(other)

        found = journal.load_checkpoint(ID).operations
        assert found == [operation(number) for number in range(1, 21)]

    def test_a_pause_by_another_object_is_told(
        self, journal: JournalingCheckpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        journal.record(update(operation(1)))
        other = open_checkpointer()
        pause_in_checkpoint(other, ID)
        if other is not journal:
            close(other)

        assert journal.record(update(operation(2)))

    def test_a_record_costs_what_is_new(self, journal: JournalingCheckpointer) -> None:
        clock = SystemClock()

        def hundred(first: int) -> float:
            begun = clock.monotonic()
            for number in range(first, first + 100):
                journal.record(update(operation(number)))
            return clock.monotonic() - begun

        few = min(hundred(1 + 100 * batch) for batch in range(5))
        journal.record(update(*(operation(number) for number in range(501, MANY - 500))))
        many = min(hundred(MANY - 500 + 100 * batch) for batch in range(5))

        assert many < GROWTH * few
        assert len(journal.load_checkpoint(ID).operations) == MANY - 1
