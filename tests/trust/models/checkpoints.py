"""Whatever is done to a checkpointer, it holds what a dict would."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from stepwell.engine.checkpoints.checkpoint import (
    Checkpoint,
    Checkpointer,
    CheckpointUpdate,
    Operation,
    is_atomic,
    journals,
)
from stepwell.engine.errors import NoCheckpoint
from stepwell.testing.checkpointers.case import OpenCheckpointer, checkpoint, close

IDS = st.sampled_from(["r/a", "r/b", "odd/../%2e"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
STATUSES = st.sampled_from(["running", "waiting", "paused", "completed", "failed"])
OPERATIONS = st.lists(
    st.builds(
        Operation,
        name=st.sampled_from(["pay", "tell"]),
        occurrence=st.integers(1, 3),
        value=PLAIN,
        open=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda operation: operation.id,
)
REASON = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
FIELDS = st.fixed_dictionaries(
    {"status": STATUSES, "variables": st.dictionaries(st.text(max_size=4), PLAIN, max_size=2)},
    optional={"inputs": PLAIN, "pause_requested": st.booleans(), "pause_reason": REASON},
)


class Broken(Exception):
    """What a change raises that cannot be done."""


class CheckpointMachine(RuleBasedStateMachine):
    """Two checkpointers over the same checkpoints, one of which may be opened again, and a dict."""

    open_checkpointer: OpenCheckpointer
    shared: bool
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self._prefix = f"example-{type(self).examples}/"
        self._stores: list[Checkpointer] = [self.open_checkpointer()]
        self._stores.append(self.open_checkpointer() if self.shared else self._stores[0])
        self._model: dict[str, Checkpoint] = {}

    def teardown(self) -> None:
        for name in tuple(self._model):
            self._stores[0].delete_checkpoint(self._prefix + name)
        if self.shared:
            for store in self._stores:
                close(store)

    @rule(place=st.integers(0, 1), name=IDS, fields=FIELDS, operations=OPERATIONS)
    def save(
        self, place: int, name: str, fields: dict[str, Any], operations: list[Operation]
    ) -> None:
        made = checkpoint(self._prefix + name, operations=operations, **fields)
        self._stores[place].save_checkpoint(made)
        self._model[name] = made.model_copy(deep=True)

    @rule(place=st.integers(0, 1), name=IDS, fields=FIELDS, operations=OPERATIONS)
    def record(
        self, place: int, name: str, fields: dict[str, Any], operations: list[Operation]
    ) -> None:
        store = self._stores[place]
        assert journals(store)
        head = checkpoint(self._prefix + name, **fields)
        paused = store.record(CheckpointUpdate(head, tuple(operations)))
        before = self._model.get(name)
        kept = {} if before is None else {one.id: one for one in before.operations}
        kept |= {one.id: one for one in operations}
        pause = {"pause_requested": False, "pause_reason": ""}
        if before is not None:
            pause = {key: getattr(before, key) for key in pause}
        fresh = {"operations": list(kept.values()), **pause}
        self._model[name] = head.model_copy(update=copy.deepcopy(fresh))
        assert paused == pause["pause_requested"]

    @rule(place=st.integers(0, 1), name=IDS, value=PLAIN, breaks=st.booleans())
    def change(self, place: int, name: str, value: Any, breaks: bool) -> None:
        store, calls = self._stores[place], 0
        assert is_atomic(store)

        def add(found: Checkpoint) -> None:
            nonlocal calls
            calls += 1
            found.variables["changed"] = value
            found.pause_requested = not found.pause_requested
            found.operations.append(Operation(name="added", occurrence=len(found.operations) + 1))
            if breaks:
                raise Broken

        known = self._model.get(name)
        try:
            saved = store.atomic_update(self._prefix + name, add)
        except NoCheckpoint:
            assert known is None
            assert calls == 0
            return
        except Broken:
            assert breaks
            return
        assert known is not None
        assert not breaks
        add_to = known.model_copy(deep=True)
        add(add_to)
        self._model[name] = add_to
        assert saved.model_dump() == add_to.model_dump()

    @rule(place=st.integers(0, 1), name=IDS)
    def delete(self, place: int, name: str) -> None:
        self._stores[place].delete_checkpoint(self._prefix + name)
        self._model.pop(name, None)

    @precondition(lambda self: self.shared)
    @rule(place=st.integers(0, 1))
    def open_again(self, place: int) -> None:
        close(self._stores[place])
        self._stores[place] = self.open_checkpointer()

    @rule(place=st.integers(0, 1), name=IDS)
    def load(self, place: int, name: str) -> None:
        known = self._model.get(name)
        try:
            found = self._stores[place].load_checkpoint(self._prefix + name)
        except NoCheckpoint:
            assert known is None, f"{name} was saved, and is gone"
            return
        assert known is not None, f"{name} was deleted, and is there"
        assert found.model_dump() == known.model_dump()
