"""Checkpoints as JSON text: written whole or in pieces, and read strictly.

Whatever is written can be read. Reading checks the version first, then applies the upcasters of
older versions, then the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from stepwell.engine.checkpoints.checkpoint import (
    CHECKPOINT_VERSION,
    MAX_EXECUTION_ID_BYTES,
    Checkpoint,
    CheckpointUpdate,
    Operation,
    OperationError,
)
from stepwell.engine.errors import (
    CheckpointCorrupt,
    CheckpointVersionError,
    InvalidInput,
    InvalidPayload,
    shown,
)
from stepwell.engine.ids import check_id
from stepwell.engine.payloads.payload import encode

Document = dict[str, Any]

# One for each older version: takes a document of that version and returns one of the next.
UPCASTERS: dict[int, Callable[[Document], Document]] = {}

_NOT_IN_HEAD = {"operations", "pause_requested", "pause_reason"}
_UNLIMITED = 2**62
# Lone surrogates, which JSON can express and UTF-8 cannot.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PLAIN = (int, bool, type(None))


def check_execution_id(value: object) -> str:
    """`value`, if it is a valid execution id: text of 1 to 1,000 bytes. Raises InvalidInput."""
    return check_id(value, "execution_id", MAX_EXECUTION_ID_BYTES)


# --- writing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pieces:
    """A checkpoint in parts of text: head, operations by id, pause flag."""

    execution_id: str
    head: str
    operations: dict[str, str]
    pause_requested: bool
    pause_reason: str

    def text(self) -> str:
        """The whole as one JSON object."""
        operations = ",".join(self.operations.values())
        flag = "true" if self.pause_requested else "false"
        reason = to_json(self.pause_reason).decode()
        return (
            f'{self.head[:-1]},"operations":[{operations}],'
            f'"pause_requested":{flag},"pause_reason":{reason}}}'
        )


def take_apart(checkpoint: Checkpoint) -> Pieces:
    """The checkpoint in parts of text. Raises InvalidInput if it could not be loaded again."""
    requested, reason = checkpoint.pause_requested, checkpoint.pause_reason
    if type(requested) is not bool or type(reason) is not str:
        raise InvalidInput("checkpoint: pause_requested must be a bool, pause_reason a str")
    encode(reason, "checkpoint: pause_reason", _UNLIMITED)
    if "\0" in reason:  # which not every database can store
        raise InvalidInput("checkpoint: pause_reason holds the character NUL; use readable text")
    texts = _operations(checkpoint.operations)
    if len(texts) != len(checkpoint.operations):
        ids = [operation.id for operation in checkpoint.operations]
        twice = next(id for id in ids if ids.count(id) > 1)
        raise InvalidInput(f"checkpoint: operations: two have the id {twice!a:.80}")
    return Pieces(checkpoint.execution_id, _head(checkpoint), texts, requested, reason)


def take_apart_update(update: CheckpointUpdate) -> Pieces:
    """An update in parts of text, without a pause flag. Raises like `take_apart`."""
    head = update.head
    return Pieces(head.execution_id, _head(head), _operations(update.operations), False, "")


def dump(checkpoint: Checkpoint) -> str:
    """The checkpoint as JSON text. Raises InvalidInput if it could not be loaded again."""
    return take_apart(checkpoint).text()


def _head(checkpoint: Checkpoint) -> str:
    check_execution_id(checkpoint.execution_id)
    _check_json("checkpoint: inputs", checkpoint.inputs)
    _check_json("checkpoint: variables", checkpoint.variables)
    _check_extra("checkpoint", checkpoint)
    if isinstance(checkpoint.wait, BaseModel):
        _check_extra("checkpoint: wait", checkpoint.wait)
    _check_error("checkpoint", checkpoint.error)
    return _dumped(checkpoint, "checkpoint", _NOT_IN_HEAD)


def _operations(operations: Iterable[Operation]) -> dict[str, str]:
    """The text of each operation by its id; of several with one id, the last."""
    texts = {}
    for operation in operations:
        if not isinstance(operation, Operation):
            raise InvalidInput(
                f"checkpoint: operations: must be Operations, got {type(operation).__name__}"
            )
        id = check_id(operation.id, "checkpoint: operation", MAX_EXECUTION_ID_BYTES)
        path = f"checkpoint: operation {id!a:.80}"
        _check_json(f"{path}: value", operation.value)
        _check_extra(path, operation)
        _check_error(path, operation.error)
        texts[id] = _dumped(operation, path, set())
    return texts


def _check_error(path: str, error: object) -> None:
    if isinstance(error, OperationError):
        _check_extra(f"{path}: error", error)
        _check_json(f"{path}: error.details", error.details)


def _check_extra(path: str, model: BaseModel) -> None:
    for name, value in (model.model_extra or {}).items():
        _check_json(f"{path}: {name}", value)


def _check_json(path: str, value: Any) -> None:
    if type(value) not in _PLAIN and value != {}:
        encode(value, path, _UNLIMITED)


def _dumped(model: BaseModel, path: str, exclude: set[str]) -> str:
    """Its JSON text, validated: a field may have been set to a value of the wrong type."""
    try:
        text = model.model_dump_json(exclude=exclude, warnings="error")
        type(model).model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(f"{path}: {_first(error)}") from None
    except PydanticSerializationError as error:
        reason = str(error).removeprefix("Error serializing to JSON: ").splitlines()
        raise InvalidPayload(f"{path}: cannot be written as JSON: {' '.join(reason)}") from None
    return text


# --- reading ----------------------------------------------------------------------------------


def parse(text: str | bytes, place: str = "checkpoint") -> Checkpoint:
    """The checkpoint in this text; `place` says where the text is from, for messages.

    Raises CheckpointVersionError if a newer version wrote it, CheckpointCorrupt if it is not a
    checkpoint.
    """
    return revive(read_object(text, place), place)


def read_json(text: str | bytes, place: str) -> Any:
    """Any JSON value, read strictly: no NaN, no duplicate keys, no lone surrogates."""
    try:
        found = text.decode() if isinstance(text, bytes) else text
        value = json.loads(found, object_pairs_hook=_unique, parse_constant=_refuse)
        if _SURROGATE.search(found):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise damaged(place, f"it is not JSON ({error})") from None
    return value


def read_object(text: str | bytes, place: str) -> Document:
    """A JSON object, read strictly."""
    value = read_json(text, place)
    if not isinstance(value, dict):
        raise damaged(place, f"expected a JSON object, found {type(value).__name__}")
    return value


def revive(document: Document, place: str) -> Checkpoint:
    """The checkpoint of a document of any version up to the present one."""
    try:
        return Checkpoint.model_validate(upcast(document, place))
    except ValidationError as error:
        raise damaged(place, _first(error)) from None


def upcast(document: Document, place: str = "checkpoint") -> Document:
    """The document in the present version; raises CheckpointVersionError for a newer one."""
    version = version_of(document, place)
    while version < CHECKPOINT_VERSION:
        step = UPCASTERS.get(version)
        if step is None:
            raise damaged(place, f"there was never a schema_version {version}")
        version += 1
        try:
            document = {**step(document), "schema_version": version}
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            reason = f"it is not of schema_version {version - 1} ({shown(error)})"
            raise damaged(place, reason) from error
    return document


def version_of(document: Document, place: str) -> int:
    """The version it was written in. Raises CheckpointVersionError for a newer one."""
    version = document.get("schema_version")
    if type(version) is not int:
        raise damaged(place, f"schema_version must be an integer, found {version!r:.40}")
    if version > CHECKPOINT_VERSION:
        raise CheckpointVersionError(
            f"{place}: it has schema_version {version}, newer than this code, which knows "
            f"{CHECKPOINT_VERSION}; nothing was changed; use a newer Stepwell"
        )
    return version


def damaged(place: str, reason: str) -> CheckpointCorrupt:
    """The error for a checkpoint that cannot be read."""
    return CheckpointCorrupt(
        f"{place}: damaged: {reason}; it was left as it is: restore a backup, or delete the "
        "checkpoint to begin anew"
    )


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r:.60} is given twice")
    return result


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _first(error: ValidationError) -> str:
    """The first fault, such as `wait.wake_at: …`."""
    found = error.errors(include_url=False)[0]
    where = ".".join(map(str, found["loc"]))
    got = f", found {found['input']!r:.60}" if found["type"] != "missing" else ""
    return f"{where}: {found['msg']}{got}" if where else f"{found['msg']}{got}"
