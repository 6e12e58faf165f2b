"""Checkpoints: the recorded operations, variables, wait and pause flag of one execution.

A checkpointer keeps them. Three methods are required; two optional capabilities make a save cost
only what is new, and keep a pause from being lost between a load and a save.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

CHECKPOINT_VERSION = 1
# Text like every id, but longer: the name of an execution consists of two ids.
MAX_EXECUTION_ID_BYTES = 1_000

# Unknown fields are kept. NaN is not written as null, so that it can be refused. The schema is
# built on first use: most programs that import Stepwell never need it.
_CONFIG = ConfigDict(extra="allow", ser_json_inf_nan="constants", defer_build=True)

OperationKind = Literal["do", "sleep", "receive", "approval", "value", "set_value", "any", "all"]
CheckpointStatus = Literal["running", "waiting", "paused", "completed", "failed"]


def operation_id(name: str, occurrence: int, key: str | None) -> str:
    """`deploy`, `deploy#2` or `deploy[key]`: unique within one execution."""
    if key is not None:
        return f"{name}[{key}]"
    return name if occurrence == 1 else f"{name}#{occurrence}"


class OperationError(BaseModel):
    """Why an operation failed; `type` is the exception's qualified name."""

    model_config = _CONFIG

    code: str
    message: str
    type: str = ""
    retryable: bool | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class Operation(BaseModel):
    """One recorded operation, by `name` and `occurrence` (from 1), or by `name` and `key`.

    `digest` is that of its arguments. `open` means that its error ended the attempt; the next
    attempt runs the operation again.
    """

    model_config = _CONFIG

    name: str
    occurrence: int = 1
    key: str | None = None
    kind: OperationKind = "do"
    digest: str = ""
    value: Any = None
    error: OperationError | None = None
    attempts: int = 1
    started: AwareDatetime | None = None
    ended: AwareDatetime | None = None
    open: bool = False

    @property
    def id(self) -> str:
        """See `operation_id`."""
        return operation_id(self.name, self.occurrence, self.key)


class CheckpointWait(BaseModel):
    """What an execution waits for. During a pause, `remaining` (seconds) replaces `wake_at`."""

    model_config = _CONFIG

    kind: str
    operation: str
    topic: str | None = None
    wake_at: AwareDatetime | None = None
    remaining: float | None = None


class Checkpoint(BaseModel):
    """The snapshot of one execution. Fields of a later version survive a round trip.

    `elsewhere` is set in the store's checkpoint of a step if another checkpointer keeps the
    step's operations, and names that one.
    """

    model_config = _CONFIG

    schema_version: int = CHECKPOINT_VERSION
    id: str
    execution_id: str
    run_id: str = ""
    step_id: str = ""
    status: CheckpointStatus = "running"
    inputs: Any = None
    variables: dict[str, Any] = Field(default_factory=dict)
    operations: list[Operation] = Field(default_factory=list)
    wait: CheckpointWait | None = None
    pause_requested: bool = False
    pause_reason: str = ""
    error: OperationError | None = None
    start_time: AwareDatetime | None = None
    end_time: AwareDatetime | None = None
    checkpoint_at: AwareDatetime | None = None
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointUpdate:
    """What is new in an execution: `head` (all fields except the operations and the pause flag)
    replaces the stored head, `operations` are added or replaced by their ids.
    """

    head: Checkpoint
    operations: tuple[Operation, ...] = ()


class Checkpointer(Protocol):
    """Keeps checkpoints by execution id. Durable on return; safe to use from many threads.

    The engine sets `schema_version` on every save. `dump_checkpoint` converts a checkpoint to text
    and refuses an invalid one; `parse_checkpoint` reads it, with the errors that a load must raise.
    """

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store it as a whole, replacing an earlier one of the same execution."""
        ...

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        """The checkpoint as it was last saved.

        Raises NoCheckpoint if there is none, CheckpointVersionError for a newer version, and
        CheckpointCorrupt for a damaged one; never changes what is stored.
        """
        ...

    def delete_checkpoint(self, execution_id: str) -> None:
        """Remove it; does nothing if there is none."""
        ...


@runtime_checkable
class AtomicCheckpointer(Checkpointer, Protocol):
    """A checkpointer that can also change a checkpoint in place."""

    def atomic_update(
        self, execution_id: str, change: Callable[[Checkpoint], object]
    ) -> Checkpoint:
        """Load, `change`, save: atomic against every other writer, in any process.

        If `change` raises, nothing is saved and the error is passed on. Raises NoCheckpoint
        without calling `change`.
        """
        ...


@runtime_checkable
class JournalingCheckpointer(Checkpointer, Protocol):
    """A checkpointer that can also store only what is new."""

    def record(self, update: CheckpointUpdate) -> bool:
        """Add what is new, creating the checkpoint if needed; atomic like `atomic_update`.

        Returns whether a pause is requested. Its cost depends only on what is new.
        """
        ...


def is_atomic(checkpointer: Checkpointer) -> TypeGuard[AtomicCheckpointer]:
    """Whether it can change a checkpoint in place. Quicker than isinstance, and sees through
    proxies.
    """
    return callable(getattr(checkpointer, "atomic_update", None))


def journals(checkpointer: Checkpointer) -> TypeGuard[JournalingCheckpointer]:
    """Whether it can store only what is new."""
    return callable(getattr(checkpointer, "record", None))
