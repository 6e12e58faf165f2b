"""Test support for authors of packages and of backends. It needs pytest.

For packages: these functions, or the fixtures of the same names that come with Stepwell
(`pytest_stepwell`). For backends: the conformance suites in the modules here.
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

# Failing asserts in the suites show their values, as in a test module.
pytest.register_assert_rewrite(
    "stepwell.testing.artifact_stores",
    "stepwell.testing.checkpointers",
    "stepwell.testing.projections",
    "stepwell.testing.run_store",
)
