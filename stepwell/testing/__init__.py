"""What authors of packages and of backends test with. It needs pytest."""

import pytest

# Asserts in the suites explain themselves, as those of a test module do.
pytest.register_assert_rewrite(
    "stepwell.testing.artifact_stores",
    "stepwell.testing.checkpointers",
    "stepwell.testing.projections",
    "stepwell.testing.run_store",
)
