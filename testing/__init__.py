"""What authors of packages and of backends test with. It needs pytest.

For packages: the fixtures of the same names, which come with Stepwell (`pytest_stepwell`), or
these functions. For backends: the conformance suites in the modules here.
"""

import pytest

from stepwell.testing.contexts import Made, StepUnderTest, step_context
from stepwell.testing.crashes import Survived, crash_everywhere
from stepwell.testing.plugin import CrashEverywhere, MakeContext, MakeRuntime
from stepwell.testing.virtual import VirtualRuntime, virtual_runtime

__all__ = [
    "CrashEverywhere",
    "Made",
    "MakeContext",
    "MakeRuntime",
    "StepUnderTest",
    "Survived",
    "VirtualRuntime",
    "crash_everywhere",
    "step_context",
    "virtual_runtime",
]

# Asserts in the suites explain themselves, as those of a test module do.
pytest.register_assert_rewrite(
    "stepwell.testing.artifact_stores",
    "stepwell.testing.checkpointers",
    "stepwell.testing.projections",
    "stepwell.testing.run_store",
)
