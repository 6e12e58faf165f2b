"""The conformance suite of projections. It needs pytest.

Subclass it in a test module, and say how a store is opened::

    class TestMyProjections(SharedProjectionSuite):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyProjectionStore(tmp_path)

Each test starts without any projection. Called again, `open_store` gives another store over the
same data; the suite closes them all. A store that only its own process can reach subclasses
`ProjectionSuite`, whose tests open one.

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
    """What every `ProjectionStore` must do; the rules stand at the contract."""


class SharedProjectionSuite(ProjectionSuite, SharedTests):
    """What a store must do, besides, when other processes can reach it."""
