"""A session is what the store needs, whatever its surroundings would have made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from stepwell import Package, Queue, RunBuilder, StepContext, StoreError, connect
from stepwell.engine.clock import SystemClock
from stepwell.stores import opening
from stepwell.stores.sql.connection.postgres import PostgresDialect
from tests.conftest import url_of
from tests.postgres.test_refusals import stepwell

PATIENCE = 60
TEXT = "100 € ☃ 𝄞 é"
RATE = 1 / 3 + 1e-16

# Settings of a database, a user, a URL or the environment that once spoiled something.
HOSTILE = {
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "DateStyle": "German, DMY",
    "TimeZone": "Pacific/Chatham",
    "IntervalStyle": "sql_standard",
    "lc_numeric": "C",
    "synchronous_commit": "off",
    "enable_indexscan": "off",
}

euro = Package("euro", queues=[Queue("slow", rate_limit=RATE, rate_period=timedelta(hours=1))])


@euro.executor("euro.pay")
def pay(step: StepContext, number: int) -> str:
    step.record("paid", f"{TEXT}:{number}", {"text": TEXT})
    step.artifact("note.bin", bytes(range(256)))
    step.do(TEXT, str, TEXT)
    return TEXT


@euro.entrypoint
def start(run: RunBuilder) -> None:
    paid = [run.step(pay, number, id=f"pay:{number} {TEXT}") for number in range(3)]
    run.step(pay, 9, id="last", after=paid)


@contextmanager
def database(server: str, name: str, options: str = "") -> Iterator[str]:
    """A database of one test's own."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        made = SQL("CREATE DATABASE {} ").format(Identifier(name)).as_bytes(connection)
        connection.execute(made + options.encode())
    try:
        yield url_of(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def hostile(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store in a database whose sessions begin with all of `HOSTILE`."""
    with database(postgres_server, "stepwell_hostile") as url:
        opening.upgrade(url, clock=SystemClock())
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            for name, value in HOSTILE.items():
                connection.execute(
                    SQL("ALTER DATABASE stepwell_hostile SET {} = {}").format(
                        Identifier(name), Literal(value)
                    )
                )
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        yield url


def test_every_text_comes_back_whatever_a_session_begins_with(hostile: str) -> None:
    with connect(hostile, packages=[euro]) as runtime:
        run = runtime.start_run("euro", run_id=f"run {TEXT}")
        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.run(run.id).status == "succeeded"
        assert runtime.result(run.id, "last").value == TEXT
        records = runtime.records("euro", "paid")
        assert [record["text"] for record in records.values()] == 4 * [TEXT]
        (ref,) = runtime.artifacts(run.id, "last")
        with runtime.open_artifact(ref.id) as stream:
            assert stream.read() == bytes(range(256))
        assert runtime.verify().ok


def test_the_environment_and_the_url_do_not_choose_the_encoding(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    url = f"{postgres_url}&client_encoding=latin1&options=-cclient_encoding%3Dwin1252"
    with connect(url, packages=[euro]) as runtime:
        run = runtime.start_run("euro")
        runtime.drain(run.id, timeout=PATIENCE)
        assert runtime.result(run.id, "last").value == TEXT


@pytest.mark.parametrize("readonly", [False, True])
def test_what_correctness_rests_on_is_set(hostile: str, readonly: bool) -> None:
    wanted = {
        "client_encoding": "UTF8",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "on" if readonly else "off",
        "default_transaction_deferrable": "off",
        "standard_conforming_strings": "on",
        "extra_float_digits": "1",
        "bytea_output": "hex",
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "synchronous_commit": "on",
    }
    connection = PostgresDialect(hostile).connect(readonly=readonly)
    try:
        found = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in wanted}
    finally:
        connection.close()

    assert found == wanted


def test_limits_are_not_taken_for_changed(hostile: str) -> None:
    """All digits of a number come back, so that opening a store again changes nothing."""
    controls = []
    for _ in range(2):
        with connect(hostile, packages=[euro]) as runtime:
            (slow,) = [queue for queue in runtime.queues() if queue.name == "slow"]
            assert slow.rate_limit == RATE
        with psycopg.connect(hostile, autocommit=True) as connection:
            connection.execute("SET statement_timeout = 0")
            sql = "SELECT value FROM meta WHERE name = 'control'"
            controls += connection.execute(sql).fetchall()

    assert controls[0] == controls[1]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    encoding: str, postgres_server: str
) -> None:
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with database(postgres_server, "stepwell_ascii", options) as url:
        # when, then: it is refused by all who open it
        with pytest.raises(StoreError, match=f"has the encoding {encoding}, which cannot hold"):
            opening.upgrade(url, clock=SystemClock())
        with pytest.raises(StoreError, match="CREATE DATABASE name ENCODING 'UTF8'"):
            connect(url, packages=[euro])
        done = stepwell(url, "db", "check")
        assert done.returncode == 8
        assert len(done.stderr.splitlines()) == 1
        assert f"has the encoding {encoding}" in done.stderr

        # and nothing was made in it
        with psycopg.connect(url) as connection:
            sql = "SELECT count(*) FROM pg_class WHERE relname = 'meta'"
            assert connection.execute(sql).fetchone() in [(0,), (b"0",)]


def test_projections_in_such_a_database_are_refused(
    postgres_server: str, postgres_url: str
) -> None:
    options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with (
        database(postgres_server, "stepwell_ascii", options) as url,
        connect(postgres_url, packages=[euro], projections=url) as runtime,
        pytest.raises(StoreError, match="has the encoding SQL_ASCII"),
    ):
        runtime.projection("sums").query("SELECT 1")
