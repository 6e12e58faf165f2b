"""Names of projections, and the end of their store."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.errors import InvalidInput, StoreError
from stepwell.engine.ports import Projection, ProjectionStore
from stepwell.testing.projections.case import TABLE, ProjectionCase, sell, total


class PlaceTests(ProjectionCase):
    """Names and their projections."""

    @pytest.mark.parametrize("name", ["sales", "web-shop_2.daily", "7", "-", "a" * 100, "con.db"])
    def test_names_that_can_be(self, store: ProjectionStore, name: str) -> None:
        projection = store.projection(name)

        assert projection.query("SELECT 1 AS one") == [{"one": 1}]
        assert store.projection(name) is projection

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("", "1 to 100 of a-z"),
            ("Sales", "'sales' would do"),
            ("web shop", "'web-shop' would do"),
            (".hidden", "'hidden' would do"),
            ("..", "not start with '.'"),
            ("../other", "'other' would do"),
            ("a/b", "'a-b' would do"),
            ('a"b', "'a-b' would do"),
            ("a" * 101, "1 to 100"),
            ("a\n", "'a' would do"),
            ("é", "a-z"),
            ("a\0", "'a' would do"),
            (None, "got None"),
            (7, "got 7"),
        ],
    )
    def test_names_that_cannot_be(self, store: ProjectionStore, name: Any, hint: str) -> None:
        with pytest.raises(InvalidInput, match=hint):
            store.projection(name)

    def test_projections_are_apart(self, store: ProjectionStore, sales: Projection) -> None:
        with pytest.raises(InvalidInput, match=r"sale.*: SELECT"):
            total(store.projection("other"))
        store.projection("other").once("key", lambda transaction: transaction.execute(TABLE))

        assert sales.once("key", sell)
        assert total(store.projection("other")) == 0

    def test_long_names_that_begin_alike_are_apart(self, store: ProjectionStore) -> None:
        store.projection("a" * 99 + "b").execute(TABLE)

        with pytest.raises(InvalidInput, match="sale"):
            total(store.projection("a" * 99 + "c"))

    def test_after_close_nothing_can_be_done(
        self, store: ProjectionStore, sales: Projection
    ) -> None:
        store.close()
        store.close()

        with pytest.raises(StoreError, match="is closed"):
            store.projection("sales")
        with pytest.raises(StoreError, match="is closed"):
            sell(sales)
        with pytest.raises(StoreError, match="is closed"):
            total(sales)
