"""The messages between the process pool and its children: JSON followed by raw bytes.

A frame is four bytes (the length of the header), the header as JSON, and the bodies it announces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from stepwell.engine import errors
from stepwell.engine.errors import StepwellError, shown
from stepwell.engine.exchange import (
    ClaimedStep,
    Completed,
    Failed,
    NewArtifact,
    NewMessage,
    NewRecord,
    NewStep,
    Outcome,
    Suspended,
    Wait,
)
from stepwell.engine.model import Failure

_LENGTH = 4
# Errors of a call to the parent that are raised in the child.
_ERRORS = {
    kind.__name__: kind
    for kind in (
        errors.InvalidInput,
        errors.InvalidGraph,
        errors.InvalidPayload,
        errors.InvalidPackage,
        errors.NotFound,
        errors.Conflict,
        errors.RefusedByState,
        errors.RuntimeClosed,
        errors.StoreError,
        errors.LeaseLost,
        errors.NoCheckpoint,
        errors.CheckpointVersionError,
        errors.CheckpointCorrupt,
        errors.StoreGone,
        errors.StoreVersionError,
        errors.CorruptData,
    )
}


def pack(header: dict[str, Any], bodies: Sequence[bytes] = ()) -> bytes:
    """One frame."""
    if bodies:
        header = {**header, "sizes": [len(body) for body in bodies]}
    text = to_json(header)
    return b"".join((len(text).to_bytes(_LENGTH, "big"), text, *bodies))


def unpack(frame: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """A frame's header and bodies."""
    start = _LENGTH + int.from_bytes(frame[:_LENGTH], "big")
    header = from_json(frame[_LENGTH:start])
    bodies = []
    for size in header.get("sizes", ()):
        bodies.append(frame[start : start + size])
        start += size
    return header, bodies


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def restore(kind: Any, value: Any) -> Any:
    """A value of the engine from the plain values as which it was sent."""
    return _adapter(kind).validate_python(value)


def pack_outcome(number: int, outcome: Outcome) -> bytes:
    """An outcome as a frame, without its step, which the parent knows."""
    header: dict[str, Any] = {"type": "outcome", "number": number}
    bodies: list[bytes] = []
    match outcome:
        case Completed():
            header["value"] = outcome.value
            header["records"] = outcome.records
            header["emitted"] = outcome.emitted
            header["messages"] = outcome.messages
            header["artifacts"] = []
            for artifact in outcome.artifacts:
                if artifact.body is not None:
                    bodies.append(artifact.body)
                plain = dataclasses.replace(artifact, body=None)
                header["artifacts"].append((artifact.body is not None, plain))
        case Failed():
            header["failure"], header["retry_in"] = outcome.failure, outcome.retry_in
        case Suspended():
            header["wait"], header["messages"] = outcome.wait, outcome.messages
            header["sent"] = outcome.sent
        case _:
            raise TypeError(f"a child process cannot give a step back: {shown(outcome)}")
    return pack(header, bodies)


def unpack_outcome(step: ClaimedStep, header: dict[str, Any], bodies: list[bytes]) -> Outcome:
    """The outcome of `step` from a frame of `pack_outcome`."""
    if "failure" in header:
        return Failed(step, restore(Failure, header["failure"]), header["retry_in"])
    if "wait" in header:
        wait = restore(Wait, header["wait"])
        return Suspended(step, wait, _messages(header), header["sent"])
    rest = iter(bodies)
    artifacts = []
    for inline, plain in header["artifacts"]:
        artifact = restore(NewArtifact, plain)
        artifacts.append(dataclasses.replace(artifact, body=next(rest)) if inline else artifact)
    return Completed(
        step,
        header["value"],
        tuple(restore(NewRecord, plain) for plain in header["records"]),
        tuple(artifacts),
        tuple(restore(NewStep, plain) for plain in header["emitted"]),
        _messages(header),
    )


def _messages(header: dict[str, Any]) -> tuple[NewMessage, ...]:
    return tuple(restore(NewMessage, plain) for plain in header["messages"])


def pack_error(error: Exception) -> dict[str, str]:
    """An error of a call to the parent, for the reply."""
    name = type(error).__name__
    if name in _ERRORS:
        return {"error": name, "message": str(error)}
    return {"error": "", "message": f"{name}: {error}"}


def unpack_error(header: dict[str, str]) -> StepwellError:
    """The error that a reply reports."""
    return _ERRORS.get(header["error"], StepwellError)(header["message"])
