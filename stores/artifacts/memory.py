"""Artifacts in memory: for tests, and for engines that need not outlive their process."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import BinaryIO

from stepwell.engine.errors import NotFound, StoreError
from stepwell.engine.forks import Lineage
from stepwell.engine.model import Blob
from stepwell.stores.artifacts.content import check_digest, chunks


class MemoryArtifactStore:
    """Bytes in a dictionary, gone with the process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: dict[str, bytes] = {}
        Lineage.watch()
        self._forks = Lineage.forks

    def put(self, data: bytes | BinaryIO) -> Blob:
        body = b"".join(chunks(data))
        sha256 = hashlib.sha256(body).hexdigest()
        self._check_here()
        with self._lock:
            self._bytes.setdefault(sha256, body)
        return _blob(sha256, body)

    def open(self, sha256: str) -> BinaryIO:
        return io.BytesIO(self._body(sha256))

    def stat(self, sha256: str) -> Blob:
        return _blob(sha256, self._body(sha256))

    def delete(self, sha256: str) -> bool:
        check_digest(sha256)
        self._check_here()
        with self._lock:
            return self._bytes.pop(sha256, None) is not None

    def _body(self, sha256: str) -> bytes:
        check_digest(sha256)
        self._check_here()
        with self._lock:
            body = self._bytes.get(sha256)
        if body is None:
            raise NotFound(f"artifact {sha256}: not in this memory store")
        return body

    def _check_here(self) -> None:
        if Lineage.forks != self._forks:
            raise StoreError(
                "artifacts in memory: a fork has no part in its parent's memory; use file:///folder"
            )


def _blob(sha256: str, body: bytes) -> Blob:
    return Blob(sha256, len(body), f"memory://{sha256}")
