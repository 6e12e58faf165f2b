"""Transactions side by side: nothing slips through between two of them, and none deadlocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.crash_points import Write
from stepwell.engine.errors import Conflict
from stepwell.engine.exchange import ClaimedStep, Outcome
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.engine.states import RunStatus
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import claim_request, completed, new_run, new_step, suspended
from stepwell.testing.run_store.case import OPERATOR
from tests.postgres.server import wait_until
from tests.stores.contended_writes import write_together

PATIENCE = 30
SOMEBODY_WAITS = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture
def stores(postgres_url: str) -> Iterator[list[SqlRunStore]]:
    """Two stores on one database, each with connections of its own."""
    opened = [
        SqlRunStore.open(PostgresDialect(postgres_url, clock=SystemClock())) for _ in range(2)
    ]
    opened[0].define_queues([Queue(DEFAULT_QUEUE)])
    yield opened
    for store in opened:
        store.close()


@pytest.fixture
def deadlocks(stores: list[SqlRunStore], monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """The errors for which the stores tried a transaction again."""
    found: list[Exception] = []
    for store in stores:

        def is_passing(error: Exception, ask: Any = store._dialect.is_passing) -> bool:
            if ask(error):
                found.append(error)
            return bool(ask(error))

        monkeypatch.setattr(store._dialect, "is_passing", is_passing)
    return found


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stops the first call of an object's method until the end of a `with`."""

    @contextmanager
    def hold(at: Any, name: str, *, after: bool, works: Callable[[], Any]) -> Iterator[Future[Any]]:
        there, go_on = threading.Event(), threading.Event()
        real = getattr(at, name)

        def stop() -> None:
            if not there.is_set():
                there.set()
                assert go_on.wait(PATIENCE)

        def stopping(*args: Any, **kwargs: Any) -> Any:
            if not after:
                stop()
            result = real(*args, **kwargs)
            if after:
                stop()
            return result

        monkeypatch.setattr(at, name, stopping)
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(works)
            try:
                assert there.wait(PATIENCE)
                yield work
            finally:
                go_on.set()

    return hold


def claim(store: SqlRunStore) -> dict[str, ClaimedStep]:
    return {step.id: step for step in store.exchange((), claim_request()).claimed}


def start_child(store: SqlRunStore, *steps: str) -> dict[str, ClaimedStep]:
    """Run `top`, of which step `a` waits for run `child`, is at work on the rest."""
    store.create_run(new_run("top", new_step("a"), new_step("b")))
    top = claim(store)
    child = new_run("child", *(new_step(step) for step in steps))
    store.exchange([suspended(top["a"], start=child)], None)
    return {**top, **claim(store)}


def test_a_claim_does_not_wait_for_a_run_that_is_being_paused(
    stores: list[SqlRunStore], held: Any, deadlocks: list[Exception]
) -> None:
    # given: a run that was never begun, in the middle of being paused
    stores[0].create_run(new_run("top", new_step("a")))
    with held(
        *(stores[1]._holds._sql, "pause"),
        after=True,
        works=lambda: stores[1].pause_run("top", OPERATOR),
    ) as paused:
        # when
        exchanged = stores[0].exchange((), claim_request())

        # then: its step is left, and looked for again soon
        assert exchanged.claimed == []
        assert exchanged.wake_at is not None
    assert paused.result(PATIENCE) == 1
    assert stores[0].step("top", "a").status == "held"
    assert deadlocks == []

    # and the claim that was given back is not counted
    stores[0].resume_run("top", OPERATOR)
    step = claim(stores[0])["a"]
    assert step.attempt == 1
    stores[0].exchange([completed(step)], None)
    assert stores[0].run("top").status == RunStatus.SUCCEEDED


def test_a_renewal_does_not_wait_while_it_holds_others(
    stores: list[SqlRunStore], held: Any, deadlocks: list[Exception]
) -> None:
    # given: two steps of a worker, and a cancel that has come to one of their runs
    for run in ("one", "two"):
        stores[0].create_run(new_run(run, new_step(run)))
    steps = claim(stores[0])
    with (
        ThreadPoolExecutor(1) as pool,
        held(
            *(stores[1]._dialect, "commit"),
            after=False,
            works=lambda: stores[1].cancel_run("one", OPERATOR),
        ),
    ):
        # when
        renewing = pool.submit(stores[0].renew, "w1", [*steps.values()], 60_000_000)

        # then: the other one is renewed at once, as everybody sees
        wait_until(
            *(
                stores[0]._dialect._url,  # type: ignore[attr-defined]  # PostgreSQL's
                "SELECT 1 FROM steps WHERE step_id = 'two' AND expires_at > %s",
            ),
            [steps["two"].expires_at + 1],
        )
    assert [(lost.step.id, lost.reason) for lost in renewing.result(PATIENCE)] == [
        ("one", "canceled")
    ]
    assert deadlocks == []


def test_cancel_waits_for_what_a_child_commits_meanwhile(
    stores: list[SqlRunStore], postgres_url: str, held: Any
) -> None:
    # given: a child's child whose step is about to commit more steps
    steps = start_child(stores[0], "w")
    stores[0].exchange([suspended(steps["w"], start=new_run("below", new_step("x")))], None)
    outcome = completed(claim(stores[0])["x"], emitted=[new_step("y"), new_step("z")])

    # when: the run above is canceled at this moment
    with (
        ThreadPoolExecutor(1) as pool,
        held(
            *(stores[1]._dialect, "commit"),
            after=False,
            works=lambda: stores[1].exchange([outcome], None),
        ),
    ):
        canceled = pool.submit(stores[0].cancel_run, "top", OPERATOR)
        wait_until(postgres_url, SOMEBODY_WAITS)

    # then: those are canceled as well, and the end is told once
    assert canceled.result() == 5
    below = stores[0].run("below")
    assert (below.status, below.open_steps) == (RunStatus.CANCELED, 0)
    ends = [e.type for e in stores[0].events("below") if e.type.startswith("run.")]
    assert ends == ["run.created", "run.started", "run.canceled"]
    assert claim(stores[0]) == {}


def test_cancel_finds_the_child_that_is_started_meanwhile(
    stores: list[SqlRunStore], postgres_url: str, held: Any
) -> None:
    # given: a child's child whose step is about to start a run of its own
    steps = start_child(stores[0], "w")
    stores[0].exchange([suspended(steps["w"], start=new_run("below", new_step("x")))], None)
    outcome = suspended(claim(stores[0])["x"], start=new_run("lowest", new_step("y")))

    # when: the run at the top is canceled at this moment
    with (
        ThreadPoolExecutor(1) as pool,
        held(
            *(stores[1]._dialect, "commit"),
            after=False,
            works=lambda: stores[1].exchange([outcome], None),
        ),
    ):
        canceled = pool.submit(stores[0].cancel_run, "top", OPERATOR)
        wait_until(postgres_url, SOMEBODY_WAITS)

    # then: it is canceled, too
    assert canceled.result() == 5
    assert stores[0].run("lowest").status is RunStatus.CANCELED


@pytest.mark.parametrize("scheme", ["postgresql", "memory"])
def test_run_that_has_ended_does_not_end_again(
    stores: list[SqlRunStore], request: pytest.FixtureRequest, scheme: str
) -> None:
    store = stores[0] if scheme == "postgresql" else request.getfixturevalue("in_memory")
    store.create_run(new_run("r", new_step("a")))
    store.exchange([completed(claim(store)["a"])], None)
    before = list(store.events("r"))

    writer, closing = store._writer, store._parts.closing
    writer.write(
        lambda tx, changes: closing._end(changes, [writer.locked_run(tx, "r").key]), Write.SETTLE
    )

    assert list(store.events("r")) == before


@pytest.fixture
def in_memory() -> Iterator[SqlRunStore]:
    store = SqlRunStore.open(SqliteDialect(None, clock=SystemClock()))
    store.define_queues([Queue(DEFAULT_QUEUE)])
    yield store
    store.close()


def test_emission_and_new_runs_take_keys_in_one_order(
    stores: list[SqlRunStore], postgres_url: str, held: Any, deadlocks: list[Exception]
) -> None:
    # given: an exchange that has keys for the steps it emits, and starts a run afterwards
    stores[0].create_run(new_run("r", new_step("a"), new_step("b")))
    steps = claim(stores[0])
    outcomes: list[Outcome] = [
        completed(steps["a"], emitted=[new_step("c")]),
        suspended(steps["b"], start=new_run("child", new_step("x"))),
    ]

    # when: another process creates a run in between
    with (
        ThreadPoolExecutor(1) as pool,
        held(
            *(stores[0]._parts.graphs, "_insert"),
            after=False,
            works=lambda: stores[0].exchange(outcomes, None),
        ) as settled,
    ):
        created = pool.submit(stores[1].create_run, new_run("other", new_step("y")))
        wait_until(postgres_url, SOMEBODY_WAITS)

    # then: one waited for the other
    assert (settled.result().lost, settled.result().refused) == ([], [])
    assert created.result().run.id == "other"
    assert deadlocks == []


@pytest.mark.parametrize("by", ["its last step", "an operator", "a lapsed lease"])
def test_end_of_a_child_locks_the_run_above_first(
    stores: list[SqlRunStore], postgres_url: str, held: Any, deadlocks: list[Exception], by: str
) -> None:
    # given: a transaction that will end a child, and has its locks
    steps = start_child(stores[0], "x")
    ends: dict[str, tuple[Any, str, Callable[[], Any]]] = {
        "its last step": (
            *(stores[0]._parts.plan, "end_runs"),
            lambda: stores[0].exchange([completed(steps["x"])], None),
        ),
        "an operator": (
            *(stores[0]._writer, "locked_run"),
            lambda: stores[0].cancel_run("child", OPERATOR),
        ),
        "a lapsed lease": (*(stores[0]._parts.graphs, "lock_runs"), lambda: stores[0].reap(0)),
    }
    if by == "a lapsed lease":
        stores[0].database.write(
            lambda tx: tx.cursor.execute("UPDATE steps SET expires_at = 1 WHERE step_id = 'x'")
        )
    at, name, works = ends[by]

    # when: another settles steps of both runs
    with (
        ThreadPoolExecutor(1) as pool,
        held(at, name, after=True, works=works) as ended,
    ):
        outcomes = [completed(steps["b"]), completed(steps["x"])]
        settled = pool.submit(stores[1].exchange, outcomes, None)
        wait_until(postgres_url, SOMEBODY_WAITS)

    # then: one waited for the other, and the run above goes on
    ended.result()
    assert [lost.step.id for lost in settled.result().lost] == ["x"]
    assert deadlocks == []
    assert set(claim(stores[0])) == {"a"}


def test_run_id_that_is_taken_at_the_last_moment_is_refused(
    stores: list[SqlRunStore], postgres_url: str, held: Any
) -> None:
    # given: a run that is about to be committed
    stores[0].create_run(new_run("r", new_step("a"), new_step("b")))
    steps = claim(stores[0])

    # when: a step starts one with the same id
    with (
        ThreadPoolExecutor(1) as pool,
        held(
            *(stores[1]._dialect, "commit"),
            after=False,
            works=lambda: stores[1].create_run(new_run("child", new_step("x"))),
        ),
    ):
        outcomes: list[Outcome] = [
            suspended(steps["a"], start=new_run("child", new_step("y"))),
            completed(steps["b"]),
        ]
        settled = pool.submit(stores[0].exchange, outcomes, None)
        wait_until(postgres_url, SOMEBODY_WAITS)

    # then: that step is refused, and the other one is settled
    (refusal,) = settled.result().refused
    assert refusal.step.id == "a"
    assert isinstance(refusal.error, Conflict)
    statuses = {step: str(stores[0].step("r", step).status) for step in "ab"}
    assert statuses == {"a": "running", "b": "succeeded"}


def test_only_writes_of_one_batch_share_a_transaction(stores: list[SqlRunStore]) -> None:
    # given: writes of several kinds that wait for the writer
    database = stores[0].database
    seen: list[tuple[Any, int]] = []

    def note(tx: StoreTransaction, items: Sequence[Any]) -> Sequence[Any]:
        (row,) = tx.cursor.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        seen.extend((item, row[0]) for item in items)
        return items

    def plain(item: str) -> Callable[[], Any]:
        return lambda: database.write(lambda tx: note(tx, [item]))

    def batched(item: str) -> Callable[[], Any]:
        return lambda: database.write_with_others(note, item)

    # when: they come while another one is going on
    writes = [plain("1"), batched("a"), plain("2"), batched("b"), plain("3"), plain("4")]
    write_together(database, writes)

    # then: the batch is one transaction, and each of the others has its own, in their order
    numbers = dict(seen)
    assert numbers["a"] == numbers["b"]
    assert len(set(numbers.values())) == 5
    assert sorted("1234", key=numbers.__getitem__) == list("1234")


def test_claim_passes_over_what_is_locked(stores: list[SqlRunStore], postgres_url: str) -> None:
    # given: somebody has locked the first of two steps; to wait for it is an error
    store = stores[0]
    store.create_run(new_run("r", new_step("a"), new_step("b")))
    store.database._writer.execute("SET lock_timeout = '1s'")
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM steps WHERE step_id = 'a' FOR UPDATE")
        # when, then
        assert claim(store).keys() == {"b"}
        other.rollback()
    assert claim(store).keys() == {"a"}


@pytest.mark.parametrize(("durability", "setting"), [("full", "on"), ("relaxed", "off")])
def test_commit_waits_for_the_disk(postgres_url: str, durability: str, setting: str) -> None:
    store = SqlRunStore.open(PostgresDialect(postgres_url, durability=durability))

    seen = store.database.write(
        lambda tx: tx.cursor.execute("SHOW synchronous_commit", ()).fetchone()[0]
    )

    assert seen == setting
    store.close()
