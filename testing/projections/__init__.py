"""The conformance suite of projections. It needs pytest.

Subclass it in a test module, and say how a store is opened::

    class TestMyProjections(SharedProjectionSuite):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyProjectionStore(tmp_path)

Each test starts without any projection. Called again, `open_store` returns another store over the
same data; the suite closes them all. For a store that only its own process can reach, subclass
`ProjectionSuite`, whose tests open only one.

The SQL here is what a package can rely on everywhere: `?` and `:name`, TEXT and INTEGER, upserts,
WITH and RETURNING.
"""

from stepwell.testing.projections.case import OpenStore
from stepwell.testing.projections.once import OnceTests
from stepwell.testing.projections.places import PlaceTests
from stepwell.testing.projections.sharing import SharedTests
from stepwell.testing.projections.statements import StatementTests

__all__ = ["OpenStore", "ProjectionSuite", "SharedProjectionSuite"]


class ProjectionSuite(StatementTests, OnceTests, PlaceTests):
    """What every `ProjectionStore` must do; the contract has the rules."""


class SharedProjectionSuite(ProjectionSuite, SharedTests):
    """What a store must do in addition if other processes can reach it."""
