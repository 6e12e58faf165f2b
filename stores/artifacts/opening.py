"""Opening an artifact store by its URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import stepwell.stores as stores
from stepwell.engine.ports import ArtifactStore
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from stepwell.stores.url_schemes import check_nothing, choose, folder_of

FIELD = "artifacts"


def open_artifacts(url: str) -> ArtifactStore:
    """The artifact store at `url`: `file:///folder` or `memory://`.

    Raises InvalidInput for a URL that cannot be, StoreError when it cannot be opened.
    """
    open_it = choose(url, FIELD, SCHEMES, "file:///folder")
    return open_it(url)


def _memory(url: str) -> ArtifactStore:
    check_nothing(url, FIELD)
    return MemoryArtifactStore()


def _folder(url: str) -> ArtifactStore:
    opened: ArtifactStore = stores.artifact_files.FileArtifactStore(folder_of(url, FIELD))
    return opened


SCHEMES: Mapping[str, Callable[[str], ArtifactStore]] = MappingProxyType(
    {"file": _folder, "memory": _memory}
)
