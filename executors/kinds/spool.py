"""Bytes on their way into an artifact: in a temporary file, never completely in memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from types import TracebackType

from stepwell.engine.model import ArtifactRef
from stepwell.engine.step.context import StepContext

# Up to this size, bytes are read back to become an inline artifact.
SMALL = 64 * 1024


class Spool:
    """Keeps the first `limit` bytes written to it and counts the rest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.size = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._digest = hashlib.sha256()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def truncated(self) -> bool:
        return self.total > self.size

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Add bytes; those beyond the limit are only counted."""
        self.total += len(data)
        kept = data[: self.limit - self.size]
        if kept:
            self._file.write(kept)
            self._digest.update(kept)
            self.size += len(kept)

    def pieces(self) -> Iterator[bytes]:
        """The kept bytes from the start; nothing may be written meanwhile."""
        self._file.seek(0)
        while piece := self._file.read(SMALL):
            yield piece

    def tail(self, size: int) -> str:
        """The last bytes kept, as text."""
        self._file.seek(max(0, self.size - size))
        text = self._file.read(size).decode("utf-8", "replace").replace("\0", "\ufffd")
        self._file.seek(self.size)
        return text

    def keep(self, step: StepContext, name: str, content_type: str) -> ArtifactRef:
        """Store the kept bytes as an artifact."""
        self._file.seek(0)
        if self.size <= SMALL:
            return step.artifact(name, self._file.read(), content_type=content_type)
        return step.store_artifact(name, self._file, content_type=content_type)
