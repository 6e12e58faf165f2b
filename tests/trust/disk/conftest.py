"""Fixtures of the tests of disks that fail, fill up, or lose power."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trust.disk.children import Children

# In memory where there is such a place: thousands of small disks are made and thrown away.
_FAST = Path("/dev/shm")


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with Children(tmp_path_factory.mktemp("children")) as running:
        yield running


@pytest.fixture
def disk() -> Iterator[Path]:
    """An empty folder that the shim watches."""
    with tempfile.TemporaryDirectory(
        prefix="stepwell-disk-", dir=_FAST if _FAST.is_dir() else None
    ) as folder:
        place = Path(folder)
        place.chmod(0o755)
        yield place


@pytest.fixture
def image(disk: Path) -> Iterator[Path]:
    """Where images of that disk are made."""
    place = disk.with_name(f"{disk.name}-image")
    yield place
    shutil.rmtree(place, ignore_errors=True)
