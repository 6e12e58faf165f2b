from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.execution_harness import ExecutionHarness


@pytest.fixture
def harness() -> Iterator[ExecutionHarness]:
    harness = ExecutionHarness()
    yield harness
    harness.close()
