"""Projections on a real PostgreSQL: the suite, and what only a server can do to them."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

import stepwell.stores as stores
from stepwell import connect
from stepwell.engine.errors import InvalidInput, InvalidSettings, StoreError
from stepwell.engine.ports import Projection, Transaction
from stepwell.stores.projections.postgres import PostgresProjectionStore, schema_of
from stepwell.stores.projections.postgres_pool import MAX_CONNECTIONS
from stepwell.testing.projections import OpenStore, SharedProjectionSuite
from stepwell.testing.projections.case import TABLE, sell, total

SOON = timedelta(milliseconds=50)


@pytest.fixture
def url(postgres_url: str) -> str:
    """A database without projections."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        rows = connection.execute(
            r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'stepwell\_%'"
        ).fetchall()
        for (schema,) in rows:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    return postgres_url


class TestPostgres(SharedProjectionSuite):
    @pytest.fixture
    def open_store(self, url: str) -> OpenStore:
        return lambda: PostgresProjectionStore(url)


@pytest.fixture
def store(url: str) -> Iterator[PostgresProjectionStore]:
    """A store that does not wait long for a lock."""
    with closing(PostgresProjectionStore(url, busy_timeout=SOON)) as store:
        yield store


@pytest.fixture
def sales(store: PostgresProjectionStore) -> Projection:
    """A projection with the table `sale(id, cents)`, still empty."""
    sales = store.projection("sales")
    sales.execute(TABLE)
    return sales


def setting(projection: Transaction, name: str) -> str:
    return str(projection.query("SELECT current_setting(?) AS it", (name,))[0]["it"])


def backend(projection: Transaction) -> int:
    return int(projection.query("SELECT pg_backend_pid() AS pid")[0]["pid"])


def terminate(url: str, *pids: int) -> None:
    """Kill these connections, and wait until they are gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        for pid in pids:
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


# --- placeholders -----------------------------------------------------------------------------


def test_operators_with_a_question_mark_work(sales: Projection) -> None:
    rows = sales.query("SELECT '{\"a\": 1}'::jsonb ?? ? AS has, '%' || 5 % 3 AS rest", ("a",))

    assert rows == [{"has": True, "rest": "%2"}]


# --- what a statement may not be --------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        *("START TRANSACTION", "ABORT", "PREPARE TRANSACTION 'a'", "ROLLBACK TO stepwell"),
        *("SET search_path = public", "SET LOCAL synchronous_commit = off", "RESET ALL"),
        *("DISCARD ALL", "LISTEN a", "COPY sale TO STDOUT", "CREATE TEMP TABLE a (b TEXT)"),
        *("DO $$ BEGIN COMMIT; END $$", "SELECT 1; COMMIT; SELECT 2", "CREATE DATABASE other"),
    ],
)
def test_what_would_leave_the_projection_is_refused(sales: Projection, given: str) -> None:
    with pytest.raises(InvalidInput):
        sales.execute(given)
    with pytest.raises(InvalidInput):
        sales.once("key", lambda transaction: (sell(transaction), transaction.execute(given)))

    assert total(sales) == 0
    assert sales.once("key", sell)


def test_constraints_can_be_deferred(sales: Projection) -> None:
    sales.execute("CREATE TABLE refund (sale TEXT REFERENCES sale (id) DEFERRABLE)")

    def apply(transaction: Transaction) -> None:
        transaction.execute("SET CONSTRAINTS ALL DEFERRED")
        transaction.execute("INSERT INTO refund VALUES ('pen')")
        sell(transaction)

    assert sales.once("key", apply)
    assert sales.query("SELECT * FROM refund") == [{"sale": "pen"}]


def test_a_read_cannot_be_made_to_write(sales: Projection) -> None:
    loosen = "SELECT set_config('transaction_read_only', 'off', true)"

    with pytest.raises(InvalidInput, match="read-write mode"):
        sales.query(loosen)
    with pytest.raises(InvalidInput, match="read-write mode"):
        sales.once("key", lambda transaction: transaction.query(loosen))


def test_a_setting_that_was_changed_does_not_outlive_the_call(sales: Projection) -> None:
    sales.execute("SELECT set_config('search_path', 'public', false)")
    sales.execute("SELECT set_config('synchronous_commit', 'off', false)")

    assert sell(sales) == 1
    assert setting(sales, "synchronous_commit") == "on"


# --- schemas ----------------------------------------------------------------------------------


def test_a_projection_is_a_schema_and_sees_that_alone(
    store: PostgresProjectionStore, sales: Projection, url: str
) -> None:
    sell(sales)

    assert setting(sales, "search_path") == "stepwell_sales"
    with pytest.raises(InvalidInput, match=r'relation "runs" does not exist'):
        sales.query("SELECT * FROM runs")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT cents FROM stepwell_sales.sale").fetchall() == [(300,)]
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_no_two_names_share_a_schema() -> None:
    names = ["a" * length for length in range(1, 101)] + ["a" * 99 + "b", "a-b", "a.b", "a_b"]

    schemas = [schema_of(name) for name in names]

    assert len(set(schemas)) == len(names)
    assert schema_of("web-shop_2.daily") == "stepwell_web-shop_2.daily"
    assert max(len(schema) for schema in schemas) == 63


def test_a_schema_that_was_dropped_is_made_again(sales: Projection, url: str) -> None:
    sales.once("key", sell)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA stepwell_sales CASCADE")

    assert sales.query("SELECT 1 AS one") == [{"one": 1}]
    assert sales.once("key", lambda transaction: transaction.execute(TABLE))
    assert total(sales) == 0


def test_many_stores_may_make_a_schema_at_once(url: str) -> None:
    opened = [PostgresProjectionStore(url) for _ in range(8)]
    start = threading.Barrier(len(opened))

    def use(store: PostgresProjectionStore) -> object:
        start.wait(30)
        with closing(store):
            return store.projection("new").query("SELECT 1 AS one")[0]["one"]

    with ThreadPoolExecutor(len(opened)) as threads:
        assert list(threads.map(use, opened)) == [1] * len(opened)


def test_a_role_that_may_not_make_schemas_uses_one_made_for_it(url: str) -> None:
    role = f"clerk_{os.getpid()}"
    parts = conninfo_to_dict(url)
    port = f"&port={parts['port']}" if parts.get("port") else ""
    theirs = f"postgresql://{role}:secret@/{parts['dbname']}?host={parts['host']}{port}"
    clerk = sql.Identifier(role)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(clerk))
        try:
            connection.execute(
                sql.SQL("CREATE SCHEMA stepwell_sales AUTHORIZATION {}").format(clerk)
            )
            with closing(PostgresProjectionStore(theirs)) as store:
                store.projection("sales").execute(TABLE)

                assert store.projection("sales").once("key", sell)
                with pytest.raises(StoreError, match="permission denied") as raised:
                    store.projection("other").query("SELECT 1")
                assert "secret" not in str(raised.value)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(clerk))
            connection.execute(sql.SQL("DROP ROLE {}").format(clerk))


def test_making_a_store_connects_to_nothing() -> None:
    store = PostgresProjectionStore("postgresql://nobody@127.0.0.1:1/nowhere")
    store.projection("sales")
    store.close()


# --- the server -------------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "synchronous"), [("full", "on"), ("relaxed", "off")])
def test_durability_sets_how_a_commit_is_synced(
    url: str, durability: Any, synchronous: str
) -> None:
    seen: list[str] = []
    with closing(PostgresProjectionStore(url, durability)) as store:
        store.projection("a").once("k", lambda tx: seen.append(setting(tx, "synchronous_commit")))

    assert seen == [synchronous]


def test_an_unknown_durability_is_refused() -> None:
    durability: Any = "fast"

    with pytest.raises(InvalidSettings, match="'full' or 'relaxed', got 'fast'"):
        PostgresProjectionStore("postgresql:///a", durability)


def test_a_lost_connection_is_made_again(sales: Projection, url: str) -> None:
    first = backend(sales)

    terminate(url, first)

    assert sell(sales) == 1
    terminate(url, backend(sales))
    assert total(sales) == 300
    terminate(url, backend(sales))
    assert sales.once("key", lambda transaction: sell(transaction, "ink"))
    assert backend(sales) != first


def test_all_connections_may_be_lost_at_once(
    store: PostgresProjectionStore, sales: Projection, url: str
) -> None:
    pids: list[int] = []

    def take_another(transaction: Transaction) -> None:
        pids.append(backend(transaction))
        if len(pids) < MAX_CONNECTIONS:
            store.projection(f"p{len(pids)}").once("key", take_another)
        else:
            with pytest.raises(StoreError, match=f"all {MAX_CONNECTIONS} connections"):
                total(store.projection("one-more"))

    store.projection("p0").once("key", take_another)
    terminate(url, *pids)

    assert len(set(pids)) == MAX_CONNECTIONS
    assert total(sales) == 0


def test_when_the_connection_is_lost_inside_once_nothing_is_kept(
    sales: Projection, url: str
) -> None:
    def apply(transaction: Transaction) -> None:
        sell(transaction)
        terminate(url, backend(transaction))
        with pytest.raises(StoreError):
            sell(transaction, "ink")
        with pytest.raises(StoreError):
            total(transaction)

    with pytest.raises(StoreError, match="projection 'sales' at postgresql://"):
        sales.once("key", apply)

    assert total(sales) == 0
    assert sales.once("key", sell)


def test_a_lost_connection_that_apply_did_not_notice_is_an_error(
    sales: Projection, url: str
) -> None:
    def apply(transaction: Transaction) -> None:
        sell(transaction)
        terminate(url, backend(transaction))

    with pytest.raises(StoreError):
        sales.once("key", apply)

    assert total(sales) == 0


def test_few_connections_serve_many_threads(url: str) -> None:
    with closing(PostgresProjectionStore(url)) as store:
        sales = store.projection("sales")
        sales.execute(TABLE)

        with ThreadPoolExecutor(16) as threads:
            pids = set(threads.map(lambda _: backend(sales), range(200)))
            list(threads.map(lambda n: sell(sales, str(n), 1), range(50)))

        assert total(sales) == 50
        assert 1 <= len(pids) <= MAX_CONNECTIONS


def test_another_process_that_writes_for_too_long_is_the_stores_error(
    sales: Projection, url: str
) -> None:
    refused: list[BaseException | None] = []

    def apply(_: Transaction) -> None:
        with (
            closing(PostgresProjectionStore(url, busy_timeout=SOON)) as other,
            pytest.raises(StoreError) as raised,
        ):
            sell(other.projection("sales"))
        refused.append(raised.value)

    assert sales.once("key", apply)
    assert "lock timeout" in str(refused[0])
    assert sell(sales) == 1


def test_a_thread_that_writes_for_too_long_is_reported(sales: Projection) -> None:
    def apply(_: Transaction) -> None:
        with (
            ThreadPoolExecutor(1) as thread,
            pytest.raises(StoreError, match="another thread holds it for over 0"),
        ):
            thread.submit(sell, sales).result()

    assert sales.once("key", apply)


def test_after_close_no_connection_is_left(url: str) -> None:
    store = PostgresProjectionStore(url)
    pid = backend(store.projection("sales"))

    store.close()

    with psycopg.connect(url, autocommit=True) as connection:
        # The server takes notice a moment later.
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        for _ in range(1000):
            row = connection.execute(gone, (pid,)).fetchone()
            if row == (0,):
                return
    pytest.fail("the connection is still there")


# --- other processes --------------------------------------------------------------------------


def test_a_store_goes_to_another_process_and_a_projection_does_not(
    store: PostgresProjectionStore, sales: Projection
) -> None:
    sales.once("key", sell)

    with closing(pickle.loads(pickle.dumps(store))) as copy:
        assert not copy.projection("sales").once("key", sell)
        assert setting(copy.projection("sales"), "lock_timeout") == "50ms"
    with pytest.raises(InvalidInput, match="hand over the projection store"):
        pickle.dumps(sales)


def in_fork(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; 0 when it returned 0."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = 0 if work() == 0 else 98
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_opens_its_own_connections(sales: Projection) -> None:
    def apply(transaction: Transaction) -> None:
        sell(transaction)
        # The parent is writing here; the child reads what was committed before.
        assert in_fork(lambda: total(sales)) == 0

    assert sales.once("key", apply)
    assert total(sales) == 300


# --- addresses --------------------------------------------------------------------------------


def test_a_server_that_cannot_be_reached_is_the_stores_error() -> None:
    with (
        closing(PostgresProjectionStore("postgresql://ann:hush-hush@127.0.0.1:1/shop")) as store,
        pytest.raises(StoreError, match=r"at postgresql://ann@127\.0\.0\.1:1/shop: ") as raised,
    ):
        store.projection("sales").query("SELECT 1")

    assert "refused" in str(raised.value)
    assert "hush-hush" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "hush-hush" not in repr(store)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hush/hush@127.0.0.1/shop",
        "postgresql://ann:1/hush@127.0.0.1/shop",
        "postgresql://ann:a@hush@127.0.0.1/shop",
        "postgresql://ann:hush-hush@127.0.0.1:port/shop?hush",
        "postgresql://127.0.0.1/shop?passwort=hush-hush",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidInput, match="URL cannot be read") as raised:
        PostgresProjectionStore(url)

    assert "hush" not in str(raised.value)
    assert raised.value.__context__ is None


def test_connect_keeps_projections_in_the_database_of_the_store(url: str, tmp_path: Path) -> None:
    with connect(url, home=tmp_path) as runtime:
        runtime.projection("sales").execute(TABLE)
        runtime.projection("sales").once("key", sell)

    with closing(PostgresProjectionStore(url)) as store:
        assert total(store.projection("sales")) == 300
    assert not (tmp_path / "projections").exists()


def test_connect_takes_a_place_of_their_own(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    with connect(url, home=tmp_path, projections=f"file://{folder}") as runtime:
        runtime.projection("sales").execute(TABLE)
    with connect("memory://", projections=url, settings={"durability": "relaxed"}) as runtime:
        runtime.projection("sales").execute(TABLE)
        seen: list[str] = []
        runtime.projection("sales").once(
            "k", lambda tx: seen.append(setting(tx, "synchronous_commit"))
        )

    assert (folder / "sales.db").is_file()
    assert seen == ["off"]


def test_connect_without_the_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "stepwell.stores.projections.postgres")
    monkeypatch.delitem(vars(stores), "postgres_projections", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(StoreError, match=r"run: pip install 'psycopg\[binary\]'"):
        connect("memory://", projections="postgresql://ann@127.0.0.1/shop")


@pytest.mark.parametrize("part", ["artifacts", "projections", "checkpoints"])
@pytest.mark.parametrize("scheme", ["mysql", "memory", "file"])
def test_connect_does_not_show_a_password(part: str, scheme: str) -> None:
    options: Any = {part: f"{scheme}://ann:hush-hush@127.0.0.1/shop"}

    with pytest.raises(InvalidInput, match=f"^{part}: .*'{scheme}") as refused:
        connect("memory://", **options)

    assert "hush" not in str(refused.value)
