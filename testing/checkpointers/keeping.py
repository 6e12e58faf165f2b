"""The three methods: what was saved is loaded, and what was deleted is gone."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.checkpoints.checkpoint import (
    Checkpoint,
    Checkpointer,
    CheckpointStatus,
    CheckpointWait,
    Operation,
    OperationError,
)
from stepwell.engine.errors import InvalidInput, NoCheckpoint, NotFound
from stepwell.testing.checkpointers.case import (
    ID,
    CheckpointerCase,
    OpenCheckpointer,
    checkpoint,
    close,
    full,
    operation,
)

VALUES: dict[str, Any] = {
    "None": None,
    "false": False,
    "zero": 0,
    "a large integer": 2**200,
    "a float": 0.1,
    "a small float": 5e-324,
    "no text": "",
    "text": "pl\u00e4in \u2603 \U0001f600 \x00 \u2028 '\"\\\n",
    "an empty list": [],
    "an empty object": {},
    "depth": {"a": [{"b": [[[{"c": 1}]]]}]},
    "odd keys": {"": 1, "a.b": 2, "\u00e9": 3, " ": 4, "__proto__": 5},
}

ODD_IDS = {
    "a way out": "../x",
    "an absolute path": "/etc",
    "dots": "..",
    "one dot": ".",
    "accents": "z\u00fcrich",
    "decomposed accents": "zu\u0308rich",
    "other scripts": "\u6771\u4eac/\u0645\u0631\u062d\u0628\u0627",
    "beyond the BMP": "\U0001f600",
    "200 characters": "x" * 200,
    "200 wide characters": "\u6771" * 200,
    "spaces": " a b ",
    "quotes": "a'b\"c`d",
    "wildcards": "%_*?[a]",
    "a backslash": "a\\b",
    "a query": "x'; DROP TABLE checkpoints; --",
    "a device": "CON",
    "a number": "7",
}

ALIKE = [
    ("a/b", "a_b"),
    ("a/b", "a%2Fb"),
    ("Run", "run"),
    ("a", "a "),
    ("a", "a."),
    ("z\u00fcrich", "zu\u0308rich"),
    ("x" * 199 + "a", "x" * 199 + "b"),
    ("1", "01"),
    ("a%", "ab"),
    ("a_", "ab"),
]


class KeepingTests(CheckpointerCase):
    """Saving, loading, deleting."""

    def test_every_field_comes_back(self, store: Checkpointer) -> None:
        store.save_checkpoint(full())

        assert store.load_checkpoint(ID) == full()

    def test_another_opener_sees_it(
        self, store: Checkpointer, open_checkpointer: OpenCheckpointer
    ) -> None:
        store.save_checkpoint(full())

        other = open_checkpointer()
        assert other.load_checkpoint(ID) == full()
        if other is not store:
            close(other)

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_every_value_comes_back(self, store: Checkpointer, value: Any) -> None:
        saved = checkpoint(
            inputs=value, variables={"it": value}, operations=[operation(1, value=value)]
        )

        store.save_checkpoint(saved)

        assert store.load_checkpoint(ID) == saved

    @pytest.mark.parametrize("status", ["running", "waiting", "paused", "completed", "failed"])
    def test_every_status_comes_back(self, store: Checkpointer, status: CheckpointStatus) -> None:
        store.save_checkpoint(checkpoint(status=status))

        assert store.load_checkpoint(ID).status == status

    def test_fields_of_a_later_version_stay(self, store: Checkpointer) -> None:
        later: dict[str, Any] = {"later": {"a": [1, None]}}
        saved = checkpoint(
            operations=[
                Operation(name="a", error=OperationError(code="c", message="m", **later)),
                Operation(name="b", **later),
            ],
            wait=CheckpointWait(kind="sleep", operation="nap", **later),
            **later,
        )

        store.save_checkpoint(saved)
        store.save_checkpoint(store.load_checkpoint(ID))

        loaded = store.load_checkpoint(ID)
        assert loaded == saved
        assert loaded.model_dump()["later"] == later["later"]
        assert loaded.operations[1].model_dump()["later"] == later["later"]

    def test_operations_keep_their_order(self, store: Checkpointer) -> None:
        names = ["zeta", "alpha", "work#2", "Work", "2", "10", "beta"]

        store.save_checkpoint(checkpoint(operations=[Operation(name=n) for n in names]))

        assert [one.name for one in store.load_checkpoint(ID).operations] == names

    def test_a_save_replaces_the_whole(self, store: Checkpointer) -> None:
        store.save_checkpoint(full())

        store.save_checkpoint(checkpoint(operations=[operation(7)]))

        assert store.load_checkpoint(ID) == checkpoint(operations=[operation(7)])

    def test_a_save_can_take_operations_away_and_move_them(self, store: Checkpointer) -> None:
        store.save_checkpoint(checkpoint(operations=[operation(n) for n in range(1, 6)]))

        kept = [operation(4), operation(1, value="new"), operation(9)]
        store.save_checkpoint(checkpoint(operations=kept))

        assert store.load_checkpoint(ID).operations == kept

    def test_what_was_saved_is_a_copy(self, store: Checkpointer) -> None:
        saved = full()
        store.save_checkpoint(saved)

        saved.variables["token"] = "changed"
        saved.operations.clear()
        store.load_checkpoint(ID).variables["token"] = "changed, too"

        assert store.load_checkpoint(ID) == full()

    def test_a_large_value_comes_back(self, store: Checkpointer) -> None:
        saved = checkpoint(inputs="x" * 5_000_000, operations=[operation(1, value=["y"] * 200_000)])

        store.save_checkpoint(saved)

        assert store.load_checkpoint(ID) == saved

    def test_executions_are_apart(self, store: Checkpointer) -> None:
        store.save_checkpoint(checkpoint("a", variables={"of": "a"}))
        store.save_checkpoint(checkpoint("b", variables={"of": "b"}))
        store.delete_checkpoint("a")

        assert store.load_checkpoint("b").variables == {"of": "b"}
        with pytest.raises(NoCheckpoint):
            store.load_checkpoint("a")

    def test_without_a_checkpoint_load_says_of_what(self, store: Checkpointer) -> None:
        with pytest.raises(NoCheckpoint, match=ID) as caught:
            store.load_checkpoint(ID)

        assert isinstance(caught.value, NotFound)

    def test_delete_of_nothing_does_nothing(self, store: Checkpointer) -> None:
        store.delete_checkpoint(ID)

        with pytest.raises(NoCheckpoint):
            store.load_checkpoint(ID)

    def test_after_delete_a_new_one_begins_empty(self, store: Checkpointer) -> None:
        store.save_checkpoint(full())
        store.delete_checkpoint(ID)

        store.save_checkpoint(checkpoint())

        assert store.load_checkpoint(ID) == checkpoint()


class IdTests(CheckpointerCase):
    """Ids are text, and nothing but text."""

    @pytest.mark.parametrize("id", ODD_IDS.values(), ids=ODD_IDS)
    def test_odd_ids_are_ids(self, store: Checkpointer, id: str) -> None:
        saved = checkpoint(id, variables={"id": id})

        store.save_checkpoint(saved)

        assert store.load_checkpoint(id) == saved
        store.delete_checkpoint(id)
        with pytest.raises(NoCheckpoint):
            store.load_checkpoint(id)

    @pytest.mark.parametrize(("one", "other"), ALIKE)
    def test_ids_that_look_alike_are_apart(self, store: Checkpointer, one: str, other: str) -> None:
        store.save_checkpoint(checkpoint(one, inputs="one"))
        store.save_checkpoint(checkpoint(other, inputs="other"))

        assert store.load_checkpoint(one).inputs == "one"
        store.delete_checkpoint(one)
        assert store.load_checkpoint(other).inputs == "other"

    @pytest.mark.parametrize("id", ["", "a\0b", "a\nb", "\ud800", "x" * 1_001])
    def test_what_is_no_id_is_refused(self, store: Checkpointer, id: str) -> None:
        with pytest.raises(InvalidInput, match="execution_id"):
            store.save_checkpoint(Checkpoint(id="x", execution_id=id))
        with pytest.raises((InvalidInput, NoCheckpoint)):
            store.load_checkpoint(id)
