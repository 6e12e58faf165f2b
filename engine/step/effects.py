"""The records and artifacts of an execution, kept until they are committed with its end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, BinaryIO, TypedDict

from stepwell.engine.clock import to_datetime
from stepwell.engine.errors import InvalidInput, nearest, shown
from stepwell.engine.exchange import ClaimedStep, NewArtifact, NewRecord
from stepwell.engine.ids import artifact_id, check_id
from stepwell.engine.model import ArtifactRef
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import ArtifactStore
from stepwell.engine.settings import Settings


class ArtifactLabel(TypedDict, total=False):
    """What is kept with an artifact's bytes.

    `content_type`: default "application/octet-stream". `kind`: a word of the package's own,
    default "file". `metadata`: any JSON object. `id`: unique in the store; default a digest of
    run, step and name, the same for every attempt.
    """

    content_type: str
    kind: str
    metadata: Mapping[str, Any] | None
    id: str | None


class Effects:
    """The records and artifacts of one execution, each checked when it is added."""

    def __init__(self, claimed: ClaimedStep, store: ArtifactStore, settings: Settings) -> None:
        self._claimed = claimed
        self._store = store
        self._settings = settings
        self.records: dict[tuple[str, str], NewRecord] = {}
        self.artifacts: dict[str, NewArtifact] = {}

    def record(self, collection: str, key: str, value: Any) -> None:
        """Keep a record; a later one with the same key replaces it."""
        check_id(collection, "record.collection")
        check_id(key, "record.key")
        text = encode(value, f"record {collection}/{key}", self._settings.payload_limit)
        self.records[collection, key] = NewRecord(collection, key, text)

    def artifact(self, name: str, data: bytes | str, label: ArtifactLabel) -> ArtifactRef:
        """Keep bytes; those above the limit for inline ones go to the artifact store."""
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise InvalidInput(
                f"artifact {shown(name)}: must be bytes or text, got {type(data).__name__}; "
                "use store_artifact() for a stream"
            )
        body = _bytes(name, data) if isinstance(data, str) else bytes(data)
        if len(body) > self._settings.inline_limit:
            return self.stored_artifact(name, body, label)
        self._check(name, label)
        return self._add(name, label, (len(body), hashlib.sha256(body).hexdigest(), body, None))

    def stored_artifact(
        self, name: str, data: bytes | str | BinaryIO, label: ArtifactLabel
    ) -> ArtifactRef:
        """Keep bytes in the artifact store; they are durable before this returns."""
        self._check(name, label)
        blob = self._store.put(_bytes(name, data) if isinstance(data, str) else data)
        return self._add(name, label, (blob.size, blob.sha256, None, blob.uri))

    def _check(self, name: str, label: ArtifactLabel) -> None:
        check_id(name, "artifact.name")
        if "/" in name or "\\" in name or name in (".", ".."):
            raise InvalidInput(
                f"artifact.name: {name!r} looks like a path; use a plain name such as 'report.html'"
            )
        if name in self.artifacts:
            raise InvalidInput(f"artifact.name: {name!r} was given twice in this step")
        unknown = label.keys() - ArtifactLabel.__annotations__.keys()
        if unknown:
            option = min(unknown)
            raise InvalidInput(
                f"artifact {name!r}: unknown option {option!r}"
                f"{nearest(option, ArtifactLabel.__annotations__)}"
            )
        for field in ("content_type", "kind", "id"):
            value = label.get(field)
            if value is not None:
                check_id(value, f"artifact.{field}")

    def _add(
        self,
        name: str,
        label: ArtifactLabel,
        content: tuple[int, str, bytes | None, str | None],
    ) -> ArtifactRef:
        size, sha256, body, uri = content
        claimed = self._claimed
        metadata = label.get("metadata") or {}
        if not isinstance(metadata, Mapping):
            raise InvalidInput(
                f"artifact {name!r}.metadata: must be a mapping, got {shown(metadata)}"
            )
        metadata = dict(metadata)
        limit = self._settings.payload_limit
        new = NewArtifact(
            id=label.get("id") or artifact_id(claimed.run.id, claimed.id, name),
            name=name,
            kind=label.get("kind") or "file",
            content_type=label.get("content_type") or "application/octet-stream",
            metadata=encode(metadata, f"artifact {name!r}.metadata", limit),
            size=size,
            sha256=sha256,
            body=body,
            uri=uri,
        )
        self.artifacts[name] = new
        return ArtifactRef(
            id=new.id,
            run_id=claimed.run.id,
            step_id=claimed.id,
            name=name,
            kind=new.kind,
            content_type=new.content_type,
            size=size,
            sha256=sha256,
            uri=uri,
            metadata=metadata,
            created_at=to_datetime(claimed.started_at),
        )


def _bytes(name: str, text: str) -> bytes:
    """The text as UTF-8. Raises InvalidInput if that is not possible."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"artifact {name!a:.80}: character {error.start} of its text is a lone surrogate; "
            "use valid Unicode text, or bytes"
        ) from None
