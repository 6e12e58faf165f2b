"""What is sent together, and what comes of it when something fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.connection.pipeline import PipelinedCursor
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import claim_request, completed, new_artifact, new_run, new_step

ADD = "SELECT $1::bigint + $2::bigint"
ECHO = "SELECT $1::text"
INSERT = "INSERT INTO noted VALUES ($1)"
NOTED = "SELECT what FROM noted ORDER BY what"


@pytest.fixture
def cursor(postgres_url: str) -> Iterator[PipelinedCursor]:
    with psycopg.connect(
        postgres_url,
        autocommit=True,
        cursor_factory=psycopg.RawCursor,
        prepare_threshold=None,
    ) as connection:
        connection.execute("CREATE TEMPORARY TABLE noted (what text UNIQUE)")
        yield PipelinedCursor(connection)


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlRunStore]:
    store = open_run_store(postgres_url, clock=SystemClock())
    assert isinstance(store, SqlRunStore)
    store.define_queues([Queue(DEFAULT_QUEUE)])
    yield store
    store.close()


def warm(cursor: PipelinedCursor, sql: str, *values: object) -> None:
    """From here on the statement is a prepared one."""
    for _ in range(2):
        cursor.execute(sql, values).fetchall()


def test_waits_for_whoever_reads(cursor: PipelinedCursor) -> None:
    # given: statements that the server knows
    warm(cursor, ADD, 1, 2)
    cursor.begin("BEGIN")
    # when: two are run, of which the second one's rows are asked for first
    first, second = cursor.execute(ADD, (1, 2)), cursor.execute(ADD, (3, 4))
    # then: nothing was sent before, and each has its own
    sent_before = cursor.answered
    assert second.fetchone() == (7,)
    assert (sent_before, cursor.answered) == (False, True)
    assert first.fetchall() == [(3,)]
    assert first.fetchone() is None


@pytest.mark.parametrize(
    "text", ["it's", "a\\b\\'", "$1 %s %% {}", "; DROP TABLE noted; --", "ü€😀\n\t", "", "E'"]
)
def test_texts_arrive_as_they_are(cursor: PipelinedCursor, text: str) -> None:
    warm(cursor, ECHO, "plain")

    assert cursor.execute(ECHO, (text,)).fetchall() == [(text,)]


@pytest.mark.parametrize("value", [None, 0, -1, 2**62])
def test_numbers_and_nothing(cursor: PipelinedCursor, value: int | None) -> None:
    warm(cursor, ADD, 1, 2)

    expected = None if value is None else value + 1
    assert cursor.execute(ADD, (value, 1)).fetchall() == [(expected,)]


def test_text_that_cannot_be_one_is_refused(cursor: PipelinedCursor) -> None:
    warm(cursor, ECHO, "plain")

    with pytest.raises(psycopg.DataError, match="NUL"):
        cursor.execute(ECHO, ("a\0b",)).fetchall()
    assert cursor.execute(ECHO, ("after",)).fetchall() == [("after",)]


def test_what_comes_after_a_failure_is_not_done(cursor: PipelinedCursor) -> None:
    # given: something that is noted already
    warm(cursor, INSERT, None)
    warm(cursor, ADD, 1, 1)
    cursor.execute(INSERT, ("once",))
    cursor.send()

    # when: it is noted again in a transaction
    cursor.begin("BEGIN")
    cursor.execute(INSERT, ("before",))
    cursor.execute(INSERT, ("once",))
    cursor.execute(INSERT, ("after",))
    with pytest.raises(psycopg.errors.UniqueViolation):
        cursor.send("COMMIT")
    cursor.execute("ROLLBACK")

    # then: nothing of that is there, and what follows works
    rows = cursor.execute(NOTED, ()).fetchall()
    assert [what for (what,) in rows if what] == ["once"]
    assert cursor.execute(ADD, (1, 1)).fetchall() == [(2,)]


def test_statement_whose_first_use_failed_is_prepared_again(cursor: PipelinedCursor) -> None:
    # given: a statement that is prepared along with one that fails
    cursor.execute(ADD, (1, 1)).fetchall()
    cursor.execute(INSERT, ("once",)).fetchall()
    cursor.execute(INSERT, ("once",))
    with pytest.raises(psycopg.errors.UniqueViolation):
        cursor.execute(ADD, (1, 1)).fetchall()

    # then
    assert cursor.execute(ADD, (2, 2)).fetchall() == [(4,)]


def test_write_on_a_connection_that_was_lost_meanwhile(
    store: SqlRunStore, postgres_url: str
) -> None:
    # given: a store whose connection the server closed while nobody used it
    store.create_run(new_run("before", new_step("a")))
    backend = store.database._writer.info.backend_pid
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))

    # when, then: nobody notices
    store.create_run(new_run("after", new_step("a")))
    assert {step.run.id for step in store.exchange((), claim_request()).claimed} == {
        "before",
        "after",
    }


def test_reads_do_not_prepare_anew(store: SqlRunStore) -> None:
    # given: what was read often enough
    store.create_run(new_run("r", new_step("a")))
    for _ in range(4):
        store.step("r", "a")
    reader = store.database._idle[-1]
    before = prepared(reader)

    store.step("r", "a")

    assert before
    assert prepared(reader) == before


def prepared(connection: psycopg.Connection[tuple[str]]) -> list[str]:
    query = "SELECT name FROM pg_prepared_statements ORDER BY prepare_time, name"
    return [name for (name,) in connection.execute(query, prepare=False)]


def test_chain_step_takes_two_round_trips(
    store: SqlRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a chain that is under way
    ids = [f"s{number}" for number in range(6)]
    store.create_run(
        new_run("r", *(new_step(id, *ids[max(0, at - 1) : at]) for at, id in enumerate(ids)))
    )
    (step,) = store.exchange((), claim_request()).claimed
    for _ in range(3):
        (step,) = store.exchange([completed(step)], claim_request()).claimed
    sent: list[str] = []
    cursor = store.database._cursor
    monkeypatch.setattr(cursor, "_cursor", Recorder(cursor._cursor, sent))

    # when
    store.exchange([completed(step)], claim_request())

    # then: all of the work in one message, and the commit
    assert len(sent) == 2
    assert sent[0].startswith("BEGIN; EXECUTE")
    assert sent[1] == "COMMIT"


def test_run_that_is_claimed_as_it_is_stored_takes_three_round_trips(
    store: SqlRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: statements that are prepared
    for number in range(3):
        store.create_and_claim(new_run(f"r{number}", new_step("a")), claim_request())
    sent: list[str] = []
    cursor = store.database._cursor
    monkeypatch.setattr(cursor, "_cursor", Recorder(cursor._cursor, sent))

    # when
    _, exchanged = store.create_and_claim(new_run("r", new_step("a")), claim_request())

    # then: fresh keys, the graph and what of it is claimed, and the commit
    assert [step.run.id for step in exchanged.claimed] == ["r"]
    assert [message.split(";")[0].split("(")[0].split(" ")[0] for message in sent] == [
        *("BEGIN", "EXECUTE", "EXECUTE")
    ]
    assert sent[2].endswith("; COMMIT")


def test_result_that_is_but_a_value_is_one_statement(
    store: SqlRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a step that left a value, and one that left an artifact, too
    store.create_run(new_run("r", new_step("plain"), new_step("more")))
    steps = {step.id: step for step in store.exchange((), claim_request()).claimed}
    artifact = new_artifact("a")
    outcomes = [completed(steps["plain"], 1), completed(steps["more"], 2, artifacts=[artifact])]
    store.exchange(outcomes, None)
    reads = 0
    begin = PostgresDialect.begin_read

    def counted(dialect: PostgresDialect, cursor: Any) -> int:
        nonlocal reads
        reads += 1
        return begin(dialect, cursor)

    monkeypatch.setattr(PostgresDialect, "begin_read", counted)

    # when, then: only the second takes a transaction
    assert (store.result("r", "plain").value, reads) == (1, 0)
    result = store.result("r", "more")
    assert (result.value, [ref.name for ref in result.artifacts], reads) == (2, ["a"], 1)


class Recorder:
    """A cursor that notes what it is given."""

    def __init__(self, cursor: Any, sent: list[str]) -> None:
        self._cursor = cursor
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, *values: Any) -> Any:
        self._sent.append(sql)
        return self._cursor.execute(sql, *values)
