from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.durable.workflow_harness import WorkflowHarness


@pytest.fixture
def harness() -> Iterator[WorkflowHarness]:
    harness = WorkflowHarness()
    yield harness
    harness.close()
