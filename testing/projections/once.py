"""Several statements in one transaction, applied once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from stepwell.engine.errors import InvalidInput
from stepwell.engine.ports import Projection, ProjectionStore, Transaction
from stepwell.testing.projections.case import TABLE, ProjectionCase, sell, total

KEYS = 25
THREADS = 8


class OnceTests(ProjectionCase):
    """What once does."""

    def test_once_applies_once(self, sales: Projection) -> None:
        assert sales.once("order 1", sell)
        assert not sales.once("order 1", sell)
        assert sales.once("order 2", lambda transaction: sell(transaction, "ink", 50))

        assert total(sales) == 350

    def test_once_records_the_key_and_when(self, sales: Projection) -> None:
        sales.once("order 1", sell)

        (row,) = sales.query("SELECT * FROM _stepwell_once")

        assert row["key"] == "order 1"
        assert row["applied_at"] > 10**15  # microseconds of any day since 2001

    def test_once_can_be_the_first_use(self, store: ProjectionStore) -> None:
        def apply(transaction: Transaction) -> None:
            transaction.execute("CREATE TABLE IF NOT EXISTS sale (id TEXT, cents INTEGER)")
            sell(transaction)

        assert store.projection("new").once("key", apply)
        assert total(store.projection("new")) == 300

    def test_once_sees_what_it_wrote(self, sales: Projection) -> None:
        seen: list[int] = []

        def apply(transaction: Transaction) -> None:
            for id in ("pen", "ink", "cap"):
                sell(transaction, id)
                seen.append(total(transaction))

        sales.once("key", apply)

        assert seen == [300, 600, 900]
        assert total(sales) == 900

    @pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
    def test_when_apply_raises_nothing_is_kept(
        self, sales: Projection, error: BaseException
    ) -> None:
        def apply(transaction: Transaction) -> None:
            sell(transaction)
            raise error

        with pytest.raises(type(error)) as raised:
            sales.once("key", apply)

        assert raised.value is error
        assert total(sales) == 0
        assert sales.once("key", sell)

    @pytest.mark.parametrize(
        ("sql", "parameters"),
        [
            ("INSERT INTO sale VALUES (?, ?)", ("pen", 1)),
            ("INSERT INTO sale VALUES (?, ?)", ("one", object())),
            ("INSERT INTO sale VALUES (?, ?)", ("one",)),
            ("COMMIT", ()),
        ],
    )
    def test_apply_may_go_on_after_a_refused_statement(
        self, sales: Projection, sql: str, parameters: Any
    ) -> None:
        sell(sales, "pen", 1)

        def apply(transaction: Transaction) -> None:
            for id in ("ink", "cap"):
                with pytest.raises(InvalidInput):
                    transaction.execute(sql, parameters)
                with pytest.raises(InvalidInput):
                    transaction.query("DELETE FROM sale")
                sell(transaction, id, 50)
            with pytest.raises(InvalidInput):
                transaction.execute(sql, parameters)

        assert sales.once("key", apply)
        assert total(sales) == 101
        assert not sales.once("key", apply)

    def test_inside_once_the_projection_itself_is_refused(self, sales: Projection) -> None:
        def apply(transaction: Transaction) -> None:
            with pytest.raises(InvalidInput, match="use the transaction that apply is called"):
                sell(sales)
            with pytest.raises(InvalidInput, match="use the transaction that apply is called"):
                total(sales)
            with pytest.raises(InvalidInput, match="use the transaction that apply is called"):
                sales.once("another", sell)
            sell(transaction)

        assert sales.once("key", apply)
        assert total(sales) == 300

    def test_inside_once_another_projection_can_be_used(
        self, store: ProjectionStore, sales: Projection
    ) -> None:
        other = store.projection("other")

        def apply(transaction: Transaction) -> None:
            other.execute(TABLE)
            sell(other, cents=total(transaction) + 1)

        assert sales.once("key", apply)
        assert (total(sales), total(other)) == (0, 1)

    def test_the_transaction_ends_with_apply(self, sales: Projection) -> None:
        kept: list[Transaction] = []
        sales.once("key", kept.append)

        with pytest.raises(InvalidInput, match="only inside apply"):
            sell(kept[0])

    def test_the_transaction_is_for_the_thread_of_apply(self, sales: Projection) -> None:
        def apply(transaction: Transaction) -> None:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(sell, transaction).result()

        with pytest.raises(InvalidInput, match="in its own thread"):
            sales.once("key", apply)

    def test_an_asynchronous_apply_is_refused(self, sales: Projection) -> None:
        async def apply(transaction: Transaction) -> None:
            sell(transaction)

        with pytest.raises(InvalidInput, match="must be a plain function"):
            sales.once("key", apply)

        assert sales.once("key", sell)

    @pytest.mark.parametrize("key", ["", None, 7])
    def test_a_key_must_be_text(self, sales: Projection, key: Any) -> None:
        with pytest.raises(InvalidInput, match="key must be text"):
            sales.once(key, sell)

    # --- many users ---------------------------------------------------------------------------

    def test_many_threads_apply_each_key_once(self, sales: Projection) -> None:
        names = [f"shared {key}" for key in range(KEYS)]

        def work(number: int) -> int:
            sell(sales, f"own {number}", 1)
            return sum(sales.once(name, partial(sell, id=name, cents=1)) for name in names)

        with ThreadPoolExecutor(THREADS) as threads:
            applied = sum(threads.map(work, range(THREADS)))

        assert applied == KEYS
        assert total(sales) == KEYS + THREADS

    def test_what_apply_read_holds_when_it_writes(self, sales: Projection) -> None:
        sell(sales, "pen", 0)

        def add(transaction: Transaction) -> None:
            transaction.execute("UPDATE sale SET cents = ?", (total(transaction) + 1,))

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda key: sales.once(f"key {key}", add), range(KEYS)))

        assert total(sales) == KEYS
