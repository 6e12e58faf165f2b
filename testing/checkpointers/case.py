"""The common base of the suite's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stepwell.engine.checkpoints.checkpoint import (
    AtomicCheckpointer,
    Checkpoint,
    Checkpointer,
    CheckpointUpdate,
    CheckpointWait,
    JournalingCheckpointer,
    Operation,
    OperationError,
    is_atomic,
    journals,
)

# Opens the checkpointer under test. Called again, it opens the same checkpoints.
OpenCheckpointer = Callable[[], Checkpointer]

ID = "run-1/deploy"
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def close(checkpointer: Checkpointer) -> None:
    """Close it if it can be closed."""
    end = getattr(checkpointer, "close", None)
    if end is not None:
        end()


def checkpoint(execution_id: str = ID, **fields: Any) -> Checkpoint:
    """A small checkpoint."""
    return Checkpoint(id=execution_id, execution_id=execution_id, **fields)


def operation(number: int, **fields: Any) -> Operation:
    """The operation of call number `number` of one function."""
    named: dict[str, Any] = {"name": "work", "occurrence": number, "value": number}
    return Operation(**(named | fields))


def update(*operations: Operation, **fields: Any) -> CheckpointUpdate:
    """An update with these operations."""
    return CheckpointUpdate(checkpoint(**fields), operations)


def full() -> Checkpoint:
    """A checkpoint with every field set."""
    error = OperationError(
        code="boom",
        message="it broke",
        type="builtins.ValueError",
        retryable=False,
        details={"path": ["a", 1, None]},
    )
    return checkpoint(
        run_id="run-1",
        step_id="deploy",
        status="waiting",
        inputs={"host": "a.example", "tries": [1, 2.5, None, True]},
        variables={"token": "abc", "nested": {"deep": {"er": []}}},
        operations=[
            Operation(
                name="deploy",
                occurrence=2,
                digest="d" * 64,
                value={"ok": True},
                attempts=3,
                started=NOON,
                ended=NOON + MINUTE,
            ),
            Operation(name="each", key="k/1", kind="do", error=error, open=True),
            Operation(name="nap", kind="sleep", value=None),
        ],
        wait=CheckpointWait(
            kind="receive",
            operation="answer",
            topic="answers",
            wake_at=NOON + MINUTE,
            remaining=1.5,
        ),
        pause_requested=True,
        pause_reason="maintenance",
        error=error,
        start_time=NOON,
        end_time=NOON + 2 * MINUTE,
        checkpoint_at=NOON + MINUTE,
    )


class CheckpointerCase:
    """The fixtures of the suite; a subclass provides `open_checkpointer`."""

    @pytest.fixture
    def store(self, open_checkpointer: OpenCheckpointer) -> Iterator[Checkpointer]:
        """A checkpointer without checkpoints."""
        opened = open_checkpointer()
        yield opened
        close(opened)

    @pytest.fixture
    def atomic(self, store: Checkpointer) -> AtomicCheckpointer:
        """The same, if it has atomic_update."""
        if not is_atomic(store):
            pytest.skip("has no atomic_update")
        return store

    @pytest.fixture
    def journal(self, store: Checkpointer) -> JournalingCheckpointer:
        """The same, if it has record."""
        if not journals(store):
            pytest.skip("has no record")
        return store
