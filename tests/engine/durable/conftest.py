from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.durable.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()
