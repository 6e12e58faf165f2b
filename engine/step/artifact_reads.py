"""Reads artifacts: their bytes are compared with their digest before they are given."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO

from stepwell.engine.errors import CorruptData, InvalidInput, NotFound, shown
from stepwell.engine.exchange import NewArtifact
from stepwell.engine.model import ArtifactRef
from stepwell.engine.ports import ArtifactStore
from stepwell.engine.services import Services


def opened(artifact_id: str, digest: str, body: bytes | None, store: ArtifactStore) -> BinaryIO:
    """The bytes of an artifact: its inline `body`, or what the store has under the digest.

    Raises NotFound, or CorruptData if the bytes do not match the digest. The caller closes it.
    """
    if body is None:
        return store.open(digest)
    found = sha256(body).hexdigest()
    if found != digest:
        raise CorruptData(
            f"artifact {artifact_id!r}: damaged: expected sha256 {digest}, found {found}"
        )
    return BytesIO(body)


def open_artifact(
    artifact: ArtifactRef | str, own: Sequence[NewArtifact], services: Services
) -> BinaryIO:
    """See `StepContext.open_artifact`; `own` are those that the step itself has made."""
    if not isinstance(artifact, (ArtifactRef, str)):
        raise InvalidInput(
            "step.open_artifact: takes an ArtifactRef or the id of an artifact, "
            f"got {shown(artifact)}"
        )
    artifact_id = artifact if isinstance(artifact, str) else artifact.id
    digest, body = _found(artifact_id, own, services)
    if isinstance(artifact, ArtifactRef) and artifact.sha256 != digest:
        raise NotFound(
            f"artifact {artifact_id!r}: the bytes of this reference (sha256 "
            f"{artifact.sha256}) are gone; it was made anew with others (sha256 {digest})"
        )
    return opened(artifact_id, digest, body, services.artifacts)


def _found(
    artifact_id: str, own: Sequence[NewArtifact], services: Services
) -> tuple[str, bytes | None]:
    """The digest and the inline bytes; the step's own artifacts come before stored ones."""
    for made in own:
        if made.id == artifact_id:
            return made.sha256, made.body
    ref, body = services.reads.artifact(artifact_id)
    return ref.sha256, body
