"""The common base of the suite's tests: a store, and a projection with one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from stepwell.engine.ports import Projection, ProjectionStore, Transaction

# Opens the store under test. Called again, it returns another store object, over the same data if
# projections outlive their store.
OpenStore = Callable[[], ProjectionStore]

TABLE = "CREATE TABLE sale (id TEXT PRIMARY KEY, cents INTEGER NOT NULL)"


def sell(transaction: Transaction, id: str = "pen", cents: int = 300) -> int:
    """Insert one sale; returns 1."""
    return transaction.execute("INSERT INTO sale VALUES (?, ?)", (id, cents))


def total(projection: Transaction) -> int:
    """The sum of all sales in cents."""
    cents = projection.query("SELECT coalesce(sum(cents), 0) AS total FROM sale")[0]["total"]
    assert isinstance(cents, int)
    return cents


class ProjectionCase:
    """The fixtures of the suite; a subclass provides `open_store`."""

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[ProjectionStore]:
        """A store without projections."""
        with closing(open_store()) as store:
            yield store

    @pytest.fixture
    def sales(self, store: ProjectionStore) -> Projection:
        """A projection with the table `sale(id, cents)`, still empty."""
        sales = store.projection("sales")
        sales.execute(TABLE)
        return sales
