"""Checkpoints of other versions: newer ones are refused and kept, older ones upgraded."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.checkpoints import capabilities, text
from stepwell.engine.checkpoints.checkpoint import (
    CHECKPOINT_VERSION,
    AtomicCheckpointer,
    Checkpointer,
    CheckpointUpdate,
    JournalingCheckpointer,
)
from stepwell.engine.errors import CheckpointVersionError, StoreVersionError
from stepwell.testing.checkpointers.case import (
    ID,
    CheckpointerCase,
    checkpoint,
    full,
    operation,
    update,
)

NEWER = CHECKPOINT_VERSION + 1
OLDER = CHECKPOINT_VERSION - 1


class VersionTests(CheckpointerCase):
    """`schema_version`."""

    @pytest.fixture
    def newer(self, store: Checkpointer) -> Checkpointer:
        """With a checkpoint that a newer version has saved."""
        saved = full()
        saved.schema_version = NEWER
        store.save_checkpoint(saved)
        return store

    @pytest.fixture
    def older(self, store: Checkpointer, monkeypatch: pytest.MonkeyPatch) -> Checkpointer:
        """With a checkpoint of an older version, whose variables had another name."""

        def rename(document: dict[str, Any]) -> dict[str, Any]:
            document = dict(document)
            document["variables"] = document.pop("state")
            return document

        monkeypatch.setitem(text.UPCASTERS, OLDER, rename)
        saved = full()
        saved.schema_version = OLDER
        saved.variables = {}
        extra = saved.model_extra
        assert extra is not None
        extra["state"] = {"from": "before"}
        store.save_checkpoint(saved)
        return store

    def _still_there(self, store: Checkpointer, monkeypatch: pytest.MonkeyPatch) -> bool:
        """Whether the newer version's code would find it unchanged."""
        monkeypatch.setattr(text, "CHECKPOINT_VERSION", NEWER)
        loaded = store.load_checkpoint(ID)
        loaded.schema_version = CHECKPOINT_VERSION
        return loaded == full()

    def test_a_newer_version_is_not_loaded(
        self, newer: Checkpointer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(CheckpointVersionError, match=f"schema_version {NEWER}") as caught:
            newer.load_checkpoint(ID)

        assert isinstance(caught.value, StoreVersionError)
        assert self._still_there(newer, monkeypatch)

    def test_what_the_engine_records_leaves_a_newer_version_alone(
        self, newer: Checkpointer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(CheckpointVersionError):
            capabilities.record(newer, update(operation(1)))

        assert self._still_there(newer, monkeypatch)

    def test_a_pause_leaves_a_newer_version_alone(
        self, newer: Checkpointer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(CheckpointVersionError):
            capabilities.pause_in_checkpoint(newer, ID)

        assert self._still_there(newer, monkeypatch)

    def test_an_atomic_update_leaves_a_newer_version_alone(
        self, atomic: AtomicCheckpointer, newer: Checkpointer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[object] = []

        with pytest.raises(CheckpointVersionError):
            atomic.atomic_update(ID, calls.append)

        assert calls == []
        assert self._still_there(newer, monkeypatch)

    def test_a_newer_version_can_be_deleted(self, newer: Checkpointer) -> None:
        newer.delete_checkpoint(ID)
        newer.save_checkpoint(checkpoint())

        assert newer.load_checkpoint(ID) == checkpoint()

    def test_an_older_version_is_brought_up_to_date(self, older: Checkpointer) -> None:
        loaded = older.load_checkpoint(ID)

        assert loaded.schema_version == CHECKPOINT_VERSION
        assert loaded.variables == {"from": "before"}
        assert loaded.operations == full().operations

    def test_an_older_version_goes_on(self, older: Checkpointer) -> None:
        head = older.load_checkpoint(ID)

        paused = capabilities.record(older, CheckpointUpdate(head, (operation(1),)))

        loaded = older.load_checkpoint(ID)
        assert paused
        assert loaded.operations == [*full().operations, operation(1)]
        assert loaded.variables == {"from": "before"}
        assert loaded.schema_version == CHECKPOINT_VERSION

    def test_an_atomic_update_sees_an_older_version_up_to_date(
        self, atomic: AtomicCheckpointer, older: Checkpointer
    ) -> None:
        seen: list[object] = []

        atomic.atomic_update(ID, lambda found: seen.append(found.variables["from"]))

        assert seen == ["before"]
        assert older.load_checkpoint(ID).schema_version == CHECKPOINT_VERSION

    def test_the_engine_sets_the_version(self, store: Checkpointer) -> None:
        for number in (1, 2):
            head = checkpoint(variables={"n": number})
            head.schema_version = NEWER
            capabilities.record(store, CheckpointUpdate(head, (operation(number),)))

        assert store.load_checkpoint(ID).schema_version == CHECKPOINT_VERSION

    def test_a_record_of_the_journal_ends_an_older_version(
        self, journal: JournalingCheckpointer, older: Checkpointer
    ) -> None:
        journal.record(update(operation(1)))
        journal.record(update(operation(2)))

        found = older.load_checkpoint(ID)
        assert found.operations == [*full().operations, operation(1), operation(2)]
