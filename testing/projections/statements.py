"""Single statements: their parameters, their results, and what is not allowed."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.errors import InvalidInput
from stepwell.engine.ports import Projection
from stepwell.testing.projections.case import ProjectionCase, sell, total


class StatementTests(ProjectionCase):
    """What execute, execute_many and query do."""

    def test_rows_come_back_as_dictionaries(self, sales: Projection) -> None:
        sell(sales, "pen", 300)

        rows = sales.query("SELECT id, cents FROM sale WHERE id = :id", {"id": "pen"})

        assert rows == [{"id": "pen", "cents": 300}]

    @pytest.mark.parametrize(
        ("sql", "changed"),
        [
            ("UPDATE sale SET cents = 1", 3),
            ("WITH a AS (SELECT 'a' AS id) DELETE FROM sale WHERE id IN (SELECT id FROM a)", 1),
            ("/* all */ DELETE FROM sale", 3),
            ("DELETE FROM sale WHERE id = 'z'", 0),
            ("INSERT INTO sale VALUES ('d', 1) RETURNING id", 1),
            ("CREATE TABLE other (id TEXT)", 0),
            ("SELECT * FROM sale", 0),
            ("-- nothing", 0),
        ],
    )
    def test_execute_says_how_many_rows_changed(
        self, sales: Projection, sql: str, changed: int
    ) -> None:
        sales.execute_many("INSERT INTO sale VALUES (?, ?)", [("a", 1), ("b", 2), ("c", 3)])

        assert sales.execute(sql) == changed

    def test_execute_many_adds_up_the_changed_rows(self, sales: Projection) -> None:
        rows = [{"id": "a", "cents": 1}, {"id": "b", "cents": 2}, {"id": "a", "cents": 3}]
        insert = "INSERT INTO sale VALUES (:id, :cents) ON CONFLICT DO NOTHING"

        assert sales.execute_many(insert, rows) == 2
        assert sales.execute_many(insert, []) == 0
        assert total(sales) == 3

    def test_execute_many_is_one_transaction(self, sales: Projection) -> None:
        with pytest.raises(InvalidInput, match=r"(?i)unique constraint"):
            sales.execute_many("INSERT INTO sale VALUES (?, ?)", [("a", 1), ("a", 2)])

        assert total(sales) == 0

    @pytest.mark.parametrize(
        "value",
        [None, 0, -1, 2**40, 2**63 - 1, 0.1, 1e300, "", "é ' ? :a", "ö" * 5000],
        ids="{!s:.9}".format,
    )
    def test_values_come_back_as_they_were(self, sales: Projection, value: Any) -> None:
        kinds = {int: "BIGINT", float: "DOUBLE PRECISION"}
        sales.execute(f"CREATE TABLE held (it {kinds.get(type(value), 'TEXT')})")
        sales.execute("INSERT INTO held VALUES (?)", (value,))

        (row,) = sales.query("SELECT it FROM held")

        assert row == {"it": value}
        assert type(row["it"]) is type(value)

    def test_sums_are_numbers(self, sales: Projection) -> None:
        sales.execute("CREATE TABLE measured (n BIGINT NOT NULL, x DOUBLE PRECISION NOT NULL)")
        sales.execute_many("INSERT INTO measured VALUES (?, ?)", [(2**40, 0.5), (2, 0.25)])

        (row,) = sales.query("SELECT sum(n) AS n, sum(x) AS x, avg(n) AS mean FROM measured")

        assert row == {"n": 2**40 + 2, "x": 0.75, "mean": 2**39 + 1}
        assert [type(value) for value in row.values()] == [int, float, float]

    @pytest.mark.parametrize(
        ("sql", "parameters", "row"),
        [
            ("SELECT 'a?b' AS a, id AS b FROM sale WHERE id = ?", ("pen",), ("a?b", "pen")),
            ("SELECT ':id' AS a, id AS b FROM sale WHERE id = :id", {"id": "pen"}, (":id", "pen")),
            ('SELECT id AS a, cents AS "b?" FROM sale WHERE cents < ?', (500,), ("pen", 300)),
            ("SELECT 'it''s ?' AS a, id AS b FROM sale -- why?\nWHERE id = ?", ("pen",), None),
            ("SELECT 1 AS a, /* ? :a '*/ id AS b FROM sale WHERE id = ?", ("pen",), (1, "pen")),
            ("SELECT id AS a, cents AS b FROM sale WHERE id LIKE 'p%' AND cents = ?", (300,), None),
            ("SELECT id AS a, id AS b FROM sale WHERE id = ?2 AND cents = ?1", (300, "pen"), None),
            (
                "SELECT id AS a, id AS b FROM sale WHERE cents IN (:c, :c + 1) AND id = :id",
                {"id": "pen", "c": 300, "more": 1},
                ("pen", "pen"),
            ),
        ],
    )
    def test_placeholders(
        self, sales: Projection, sql: str, parameters: Any, row: tuple[Any, ...] | None
    ) -> None:
        sell(sales, "pen", 300)

        (found,) = sales.query(sql, parameters)

        assert row is None or tuple(found.values()) == row

    @pytest.mark.parametrize(
        ("sql", "parameters", "reason"),
        [
            ("\nINSRT INTO sale\nVALUES (1)", (), '"INSRT".*: INSRT INTO sale$'),
            ("INSERT INTO absent VALUES (1)", (), "absent.*: INSERT INTO absent VALUES"),
            ("INSERT INTO sale VALUES (?, NULL)", ("a",), "(?i)not.null constraint"),
            ("INSERT INTO sale VALUES (?, ?)", ("a",), ": INSERT INTO sale"),
            ("INSERT INTO sale VALUES (?, ?)", ("a", 1, 2), ": INSERT INTO sale"),
            ("INSERT INTO sale VALUES (?, ?)", {"a": 1}, ": INSERT INTO sale"),
            ("INSERT INTO sale VALUES (:a, :b)", {"a": 1}, ": INSERT INTO sale"),
            ("INSERT INTO sale VALUES (?, ?)", ("a", object()), "'object'"),
            ("INSERT INTO sale VALUES (?, ?)", ("a", 2**70), ": INSERT INTO sale"),
            ("INSERT INTO sale VALUES (?, 1)", ("\ud800",), "surrogates not allowed"),
            ("INSERT INTO sale VALUES ('\ud800', 1)", (), "surrogates not allowed"),
            ("DELETE FROM sale; DELETE FROM sale", (), "DELETE FROM sale"),
            ("SELECT 1 \0", (), "null character"),
            ("VACUUM", (), "VACUUM"),
        ],
    )
    def test_an_error_of_the_statement_is_the_users(
        self, sales: Projection, sql: str, parameters: Any, reason: str
    ) -> None:
        with pytest.raises(InvalidInput, match=reason):
            sales.execute(sql, parameters)
        with pytest.raises(InvalidInput, match=reason):
            sales.execute_many(sql, [parameters])

        assert sell(sales) == 1

    def test_sql_must_be_text(self, sales: Projection) -> None:
        with pytest.raises(InvalidInput, match="sql: must be text, got bytes"):
            sales.execute(b"SELECT 1")  # type: ignore[arg-type]  # what is wrong is the point

    @pytest.mark.parametrize(
        "sql",
        [
            *("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE a"),
            *("/* a */ COMMIT", "-- a\ncommit", "DELETE FROM sale; COMMIT"),
        ],
    )
    def test_statements_that_would_leave_the_transaction_are_refused(
        self, sales: Projection, sql: str
    ) -> None:
        with pytest.raises(InvalidInput):
            sales.execute(sql)
        with pytest.raises(InvalidInput):
            sales.query(sql)
        with pytest.raises(InvalidInput):
            sales.once("key", lambda transaction: (sell(transaction), transaction.execute(sql)))

        assert total(sales) == 0
        assert sell(sales) == 1

    def test_foreign_keys_are_enforced_also_when_deferred(self, sales: Projection) -> None:
        sales.execute(
            "CREATE TABLE refund (sale TEXT REFERENCES sale (id) DEFERRABLE INITIALLY DEFERRED)"
        )

        with pytest.raises(InvalidInput, match=r"(?i)foreign key constraint"):
            sales.execute("INSERT INTO refund VALUES ('unknown')")

        assert sales.query("SELECT * FROM refund") == []

    # --- reading ------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "sql",
        [
            "INSERT INTO sale VALUES ('pen', 1)",
            "INSERT INTO sale VALUES ('pen', 1) RETURNING id",
            "WITH a AS (SELECT 'pen' AS id) INSERT INTO sale SELECT id, 1 FROM a",
            "CREATE TABLE other (id TEXT)",
            "DROP TABLE sale",
        ],
    )
    def test_query_refuses_to_write(self, sales: Projection, sql: str) -> None:
        with pytest.raises(InvalidInput, match=r"query\(\) only reads; use execute\(\)"):
            sales.query(sql)
        with pytest.raises(InvalidInput, match=r"query\(\) only reads"):
            sales.once("key", lambda transaction: transaction.query(sql))

        assert total(sales) == 0
        assert sell(sales) == 1

    @pytest.mark.parametrize("sql", ["", "-- nothing"])
    def test_query_refuses_what_gives_no_rows(self, sales: Projection, sql: str) -> None:
        with pytest.raises(InvalidInput, match="gives no rows"):
            sales.query(sql)

    def test_query_refuses_to_lose_a_column(self, sales: Projection) -> None:
        with pytest.raises(InvalidInput, match="two columns are named 'id'; rename one with AS"):
            sales.query("SELECT a.id, b.id FROM sale AS a, sale AS b")
