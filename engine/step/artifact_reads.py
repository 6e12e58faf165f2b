"""Reading artifacts: bytes are checked against their digest before anybody gets them."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import BinaryIO

from stepwell.engine.errors import CorruptData, InvalidInput, NotFound, shown
from stepwell.engine.model import ArtifactRef
from stepwell.engine.ports import ArtifactStore
from stepwell.engine.services import Services
from stepwell.engine.step.effects import Effects


def opened(artifact_id: str, digest: str, body: bytes | None, store: ArtifactStore) -> BinaryIO:
    """The bytes of an artifact: its inline `body`, or what the store has under the digest.

    Raises NotFound, or CorruptData when they do not match it. The caller closes it.
    """
    if body is None:
        return store.open(digest)
    found = sha256(body).hexdigest()
    if found != digest:
        raise CorruptData(
            f"artifact {artifact_id!r}: damaged: expected sha256 {digest}, found {found}"
        )
    return BytesIO(body)


class ArtifactReads:
    """What a step reads of artifacts, its own and those of others."""

    _services: Services
    _effects: Effects | None

    def open_artifact(self, artifact: ArtifactRef | str) -> BinaryIO:
        """The bytes of an artifact as a binary file, to be used in a `with` block.

        `artifact` is a reference or an id, of this step, its run or any other run of the store.
        Raises NotFound, CorruptData when the bytes do not match their digest, and InvalidInput for
        anything else.
        """
        if not isinstance(artifact, (ArtifactRef, str)):
            raise InvalidInput(
                "step.open_artifact: takes an ArtifactRef or the id of an artifact, "
                f"got {shown(artifact)}"
            )
        artifact_id = artifact if isinstance(artifact, str) else artifact.id
        digest, body = self._found(artifact_id)
        if isinstance(artifact, ArtifactRef) and artifact.sha256 != digest:
            raise NotFound(
                f"artifact {artifact_id!r}: the bytes of this reference (sha256 "
                f"{artifact.sha256}) are gone; it was made anew with others (sha256 {digest})"
            )
        return opened(artifact_id, digest, body, self._services.artifacts)

    def artifact_bytes(self, artifact: ArtifactRef | str) -> bytes:
        """All bytes of an artifact; see `open_artifact`, which is for large ones."""
        with self.open_artifact(artifact) as stream:
            return stream.read()

    def _found(self, artifact_id: str) -> tuple[str, bytes | None]:
        """The digest and the inline bytes, of what this execution made before what is stored."""
        made = () if self._effects is None else tuple(self._effects.artifacts.values())
        for own in made:
            if own.id == artifact_id:
                return own.sha256, own.body
        ref, body = self._services.reads.artifact(artifact_id)
        return ref.sha256, body
