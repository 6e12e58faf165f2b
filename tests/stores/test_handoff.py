"""A step that became ready goes to the worker that made it so, if that would claim it anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.exchange import ClaimedStep, Edge, Exchange
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.engine.states import Condition, RunStatus, StepStatus
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import (
    KIND,
    claim_request,
    completed,
    failed,
    finished,
    new_run,
    new_step,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR

Claimed = dict[str, ClaimedStep]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 's.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[[], SqlRunStore]]:
    stores: list[SqlRunStore] = []

    def open_one() -> SqlRunStore:
        store = open_run_store(url, clock=SystemClock())
        assert isinstance(store, SqlRunStore)
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], SqlRunStore]) -> SqlRunStore:
    """A store that knows its queue."""
    store = open_store()
    store.define_queues([Queue(DEFAULT_QUEUE)])
    store.exchange((), claim_request())
    return store


@pytest.fixture
def claims(store: SqlRunStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has one more for each claim that looked for ready steps."""
    looked: list[int] = []
    plan = store._parts.plan
    look = plan.take

    def counted(*values: Any) -> Any:
        looked.append(1)
        return look(*values)

    monkeypatch.setattr(plan, "take", counted)
    return looked


def by_id(exchanged: Exchange) -> Claimed:
    return {step.id: step for step in exchanged.claimed}


def start(store: SqlRunStore, *steps: object, id: str = "r") -> Claimed:
    store.create_run(new_run(id, *steps))  # type: ignore[arg-type]  # steps
    return by_id(store.exchange((), claim_request()))


def test_those_handed_on_are_in_the_order_of_the_promise(store: SqlRunStore) -> None:
    claimed = start(
        store, new_step("a"), new_step("b", "a", priority=5), new_step("c", "a", priority=-5)
    )

    exchanged = store.exchange([completed(claimed["a"])], claim_request())

    assert [step.id for step in exchanged.claimed] == ["c", "b"]


def test_chain_needs_no_claim(store: SqlRunStore, claims: list[int]) -> None:
    # given: the first step of two
    first = start(store, new_step("a"), new_step("b", "a", input='{"n": "\\u00fc\\"x"}'))["a"]
    claims.clear()
    # when
    exchanged = store.exchange([completed(first, 7)], claim_request(worker="w2"))
    # then: the second one is held, as if it had been claimed
    second = by_id(exchanged)["b"]
    assert not claims
    assert (second.token, second.attempt, second.input) == (1, 1, '{"n": "\\u00fc\\"x"}')
    assert second.run == first.run
    assert second.expires_at - second.started_at == 30_000_000
    assert store.step("r", "b").status is StepStatus.RUNNING
    assert store.step("r", "b").worker == "w2"
    # … and when it ends, so does the run
    assert store.exchange([completed(second)], claim_request()).ended_runs == ["r"]
    events = [(event.seq, event.type.value, event.step_id) for event in store.events("r")]
    assert events == [
        (1, "run.created", None),
        (2, "run.started", None),
        (3, "step.succeeded", "a"),
        (4, "step.succeeded", "b"),
        (5, "run.succeeded", None),
    ]


def test_not_before_others_that_are_ready(store: SqlRunStore) -> None:
    # given: a step that ends, and one that comes before what it makes ready
    first = start(store, new_step("a"), new_step("b", "a"))["a"]
    store.create_run(new_run("other", new_step("x"), new_step("y", priority=500)))
    # when: there is room for two
    exchanged = store.exchange([completed(first)], claim_request(2))
    # then: in the order of a claim
    assert [step.id for step in exchanged.claimed] == ["x", "b"]


def test_not_before_others_of_another_kind(store: SqlRunStore, claims: list[int]) -> None:
    # given: a step that ends, and one of another kind that the worker would claim as well
    first = start(store, new_step("a"), new_step("b", "a"))["a"]
    store.create_run(new_run("other", new_step("x", kind="other", priority=-1)))
    claims.clear()
    # when: it claims both kinds
    request = claim_request(1, kinds=(KIND, "other"))
    exchanged = store.exchange([completed(first)], request)
    # then
    assert [step.id for step in exchanged.claimed] == ["x"]
    assert claims


def test_not_more_than_there_is_room_for(store: SqlRunStore) -> None:
    first = start(store, new_step("a"), *(new_step(f"b{n}", "a") for n in range(5)))["a"]

    exchanged = store.exchange([completed(first)], claim_request(3))

    assert [step.id for step in exchanged.claimed] == ["b0", "b1", "b2"]
    assert store.step("r", "b3").status is StepStatus.READY


def test_not_what_the_worker_cannot_run(store: SqlRunStore) -> None:
    first = start(store, new_step("a"), new_step("b", "a", kind="other"), new_step("c", "a"))["a"]

    exchanged = store.exchange([completed(first)], claim_request())

    assert [step.id for step in exchanged.claimed] == ["c"]
    assert store.step("r", "b").status is StepStatus.READY


def test_not_without_a_claim(store: SqlRunStore) -> None:
    first = start(store, new_step("a"), new_step("b", "a"))["a"]

    assert not store.exchange([completed(first)], None).claimed
    assert store.step("r", "b").status is StepStatus.READY


def test_not_in_a_paused_run(store: SqlRunStore) -> None:
    first = start(store, new_step("a"), new_step("b", "a"))["a"]
    store.pause_run("r", OPERATOR)
    store.exchange((), claim_request())  # it knows of that now

    assert not store.exchange([completed(first)], claim_request()).claimed
    assert store.step("r", "b").status is StepStatus.HELD


def test_not_past_a_limit_that_somebody_set(
    store: SqlRunStore, open_store: Callable[[], SqlRunStore]
) -> None:
    # given: two steps run in a queue that got a limit of one meanwhile
    both = start(store, new_step("a"), new_step("z"), new_step("b", "a"))
    open_store().define_queues([Queue(DEFAULT_QUEUE, max_in_flight=1)])

    # when, then: the other one is still running
    assert not store.exchange([completed(both["a"])], claim_request()).claimed
    assert store.step("r", "b").status is StepStatus.READY


def test_not_by_an_execution_whose_lease_was_lost(store: SqlRunStore) -> None:
    # given: two executions, one of which is not held any more
    both = start(store, new_step("a"), new_step("z"), new_step("b", "a"))
    stale, held = both["a"], both["z"]
    store.exchange([failed(stale, retry_in=timedelta(0))], None)
    # when
    exchanged = store.exchange([completed(stale), completed(held)], claim_request())
    # then: it made nothing ready, and the other one counts
    assert [lost.step.id for lost in exchanged.lost] == ["a"]
    assert by_id(exchanged).keys() == {"a"}
    assert store.step("r", "b").status is StepStatus.PENDING
    sequence = [event.seq for event in store.events("r")]
    assert sequence == list(range(1, len(sequence) + 1))
    assert store.progress("r").open == 2


def test_join_of_executions_that_end_in_different_runs_and_at_once(store: SqlRunStore) -> None:
    # given: two runs, in each two steps and a join
    steps = (new_step("a"), new_step("b"), new_step("join", "a", "b"))
    store.create_run(new_run("r1", *steps))
    store.create_run(new_run("r2", *steps))
    claimed = store.exchange((), claim_request()).claimed
    # when: all four end together
    joins = store.exchange([completed(step) for step in claimed], claim_request()).claimed
    # then: each join is held once
    assert sorted((step.run.id, step.id) for step in joins) == [("r1", "join"), ("r2", "join")]
    ended = store.exchange([completed(step) for step in joins], claim_request()).ended_runs
    assert sorted(ended) == ["r1", "r2"]
    assert {store.run(id).status for id in ended} == {RunStatus.SUCCEEDED}


def test_not_before_what_a_dropped_step_makes_ready(store: SqlRunStore) -> None:
    # given: a step makes another one ready, and the drop of a third one that comes first
    first = start(
        store,
        new_step("a"),
        new_step("b", "a", priority=9),
        new_step("c", Edge("a", Condition.FAILED)),
        new_step("d", finished("c"), priority=-9),
    )["a"]
    # when: there is room for one
    exchanged = store.exchange([completed(first)], claim_request(1))
    # then
    assert [step.id for step in exchanged.claimed] == ["d"]


def test_names_are_compared_whole(store: SqlRunStore) -> None:
    # given: a queue with a limit, whose name is part of others, or of what stands between them
    store.define_queues([Queue(name) for name in ("q1", "q2")])
    store.define_queues([Queue(name, max_in_flight=1) for name in (",", '"', "q")])
    request = claim_request(queues=("q1", "q2"))
    store.exchange((), request)
    steps = [
        new_step("a", queue="q1"),
        new_step("b", "a", queue=","),
        new_step("c", "a", queue='"'),
        new_step("d", "a", queue="q"),
    ]
    store.create_run(new_run("r", *steps))
    (first,) = store.exchange((), request).claimed
    # when, then: it is none of those that the worker claims from
    assert not store.exchange([completed(first)], request).claimed


def test_never_more_than_there_is_room_for_when_more_follows(store: SqlRunStore) -> None:
    # given: the end of a run wakes a step that lost its lease once, when the only place is taken
    store.create_run(new_run("waits", new_step("w")))
    store.exchange((), claim_request(lease=timedelta(microseconds=1)))
    assert store.reap(max_lost_leases=3) == 1
    (suspect,) = store.exchange((), claim_request()).claimed
    store.create_run(new_run("child", new_step("x")))
    store.exchange([suspended(suspect, run_id="child")], None)
    claimed = start(store, new_step("a"), new_step("b", "a"))
    # when
    ended = [completed(claimed["x"]), completed(claimed["a"])]
    exchanged = store.exchange(ended, claim_request(1))
    # then
    assert len(exchanged.claimed) == 1
