"""Builders for the arguments of a run store: runs, steps, claims and outcomes.

Each builder fills in the fields that a test does not care about, and nothing more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from stepwell.engine.clock import duration_micros
from stepwell.engine.exchange import (
    ClaimedStep,
    ClaimRequest,
    Completed,
    Edge,
    Failed,
    NewArtifact,
    NewMessage,
    NewRecord,
    NewRun,
    NewStep,
    PoolRequest,
    Released,
    Suspended,
    Wait,
)
from stepwell.engine.model import DEFAULT_QUEUE, Failure
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import Condition

KIND = "work"
PACKAGE = "tests"
LEASE = timedelta(seconds=30)


def new_step(id: str, *after: str | Edge, **fields: Any) -> NewStep:
    """A step of kind `work` that requires the steps named in `after`."""
    given = {"kind": KIND, "queue": DEFAULT_QUEUE, "input": "null", "package": PACKAGE, **fields}
    edges = tuple(edge if isinstance(edge, Edge) else Edge(edge) for edge in after)
    return NewStep(id=id, edges=edges, **given)


def finished(target: str) -> Edge:
    """An edge that is met by any end of the target."""
    return Edge(target, Condition.FINISHED)


def on_failure(target: str) -> Edge:
    """An edge that catches the target's failure."""
    return Edge(target, Condition.FAILED)


def subtree(target: str, condition: Condition = Condition.SUCCEEDED) -> Edge:
    """An edge to the target and everything it emits."""
    return Edge(target, condition, subtree=True)


def new_run(id: str, *steps: NewStep, **fields: Any) -> NewRun:
    """A run of these steps; `input`, `metadata` and `tags` are given as plain values."""
    texts = {"input": None, "metadata": {}, "tags": [], **fields}
    for name in ("input", "metadata", "tags"):
        texts[name] = encode(texts[name], name)
    return NewRun(
        **{"id": id, "package": PACKAGE, "entrypoint": "start", "name": id, **texts},
        steps=steps,
    )


def claim_request(
    limit: int = 100,
    *,
    worker: str = "w1",
    kinds: Sequence[str] = (KIND,),
    queues: Sequence[str] | None = None,
    lease: timedelta = LEASE,
    suspects: bool = True,
) -> ClaimRequest:
    """A claim of up to `limit` steps of these kinds in one pool."""
    return ClaimRequest(
        worker_id=worker,
        queues=None if queues is None else tuple(queues),
        pools=(PoolRequest(tuple(kinds), limit),),
        lease=duration_micros(lease),
        suspects=suspects,
    )


def completed(step: ClaimedStep, value: Any = None, **made: Any) -> Completed:
    """The execution returned `value` and made `records`, `artifacts` and `emitted` steps."""
    return Completed(step, encode(value, "value"), **made)


def failed(step: ClaimedStep, code: str = "broken", retry_in: timedelta | None = None) -> Failed:
    """The execution failed: finally, or with a retry in `retry_in`."""
    wait = None if retry_in is None else duration_micros(retry_in)
    return Failed(step, Failure(code, f"it is {code}"), wait)


def released(step: ClaimedStep, reason: str = "worker stopped") -> Released:
    """The step is given back."""
    return Released(step, reason)


def suspended(
    step: ClaimedStep,
    *,
    until: int | None = None,
    run_id: str | None = None,
    start: NewRun | None = None,
    messages: Sequence[NewMessage] = (),
    **wait: Any,
) -> Suspended:
    """The step waits for a time, a run's end, the end of a run it starts, or the given `wait`."""
    return Suspended(
        step, Wait(run_id if start is None else start.id, until, start, **wait), messages
    )


def new_message(run_id: str, topic: str, payload: Any, *, key: str | None = None) -> NewMessage:
    """A message with a plain payload."""
    return NewMessage(run_id, topic, encode(payload, "message"), key)


def new_record(collection: str, key: str, value: Any) -> NewRecord:
    """A record with a plain value."""
    return NewRecord(collection, key, encode(value, "record"))


def new_artifact(
    id: str,
    body: bytes = b"bytes",
    *,
    name: str | None = None,
    uri: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> NewArtifact:
    """An inline artifact, or, with `uri`, one whose bytes are elsewhere."""
    return NewArtifact(
        id=id,
        name=name or id,
        kind="file",
        content_type="text/plain",
        metadata=encode(dict(metadata or {}), "metadata"),
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        body=None if uri else body,
        uri=uri,
    )
