"""Many workers on one server: what one has, no other gets, and no end is missed."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from stepwell import EventType, Queue, RunStatus, Runtime, connect
from tests.postgres.conftest import PATIENCE, Spawn
from tests.postgres.server import ask, figure, wait_until
from tests.postgres.worker_program import sample

ALL_ENDED = "SELECT 1 WHERE NOT EXISTS (SELECT FROM runs WHERE ended_at IS NULL)"
EVENTS = "SELECT count(*), count(DISTINCT (run_key, step)) FROM events WHERE type = %s"


def deadlocks(url: str) -> int:
    (row,) = ask(url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row[0])


def test_eight_workers_share_twenty_thousand_steps(
    runtime: Runtime, postgres_url: str, spawn: Spawn, tmp_path: Path
) -> None:
    # given: eight workers in four processes, with small appetites so that they meet often
    before = deadlocks(postgres_url)
    with ExitStack() as stack:
        for _ in range(5):
            settings = {"threads": 2, "poll_interval": 0.5}
            own = connect(postgres_url, home=tmp_path, packages=[sample], settings=settings)
            stack.enter_context(own)
            stack.enter_context(own.worker())
        for _ in range(3):
            spawn(postgres_url, threads=2)

        # when: there is one queue of ready steps
        run = runtime.start_run("sample", 20_000, entrypoint="many")
        ended = run.wait(3 * PATIENCE)  # what counts is who gets what, also on a busy machine

    # then: each was claimed and committed once, and nobody went without
    assert ended.status is RunStatus.SUCCEEDED
    # A token more for each claim; what was claimed too far ahead is given back, and noted.
    ((again, attempts),) = ask(postgres_url, "SELECT sum(token - 1)::int, max(attempt) FROM steps")
    given_back = ask(postgres_url, EVENTS, (EventType.STEP_RELEASED,))[0][0]
    assert (again, attempts) == (given_back, 1)
    assert ask(postgres_url, EVENTS, (EventType.STEP_SUCCEEDED,)) == [(20_000, 20_000)]
    shares = dict(ask(postgres_url, "SELECT worker, count(*) FROM steps GROUP BY 1"))
    figure(f"shares: {sorted(shares.values())}")
    assert len(shares) == 8
    assert deadlocks(postgres_url) == before


def test_the_end_of_a_run_is_never_missed(
    runtime: Runtime, postgres_url: str, spawn: Spawn
) -> None:
    # given: four workers that take one step at a time, and so the two of a run apart
    before = deadlocks(postgres_url)
    for _ in range(4):
        spawn(postgres_url, threads=1)

    # when: they work on hundreds of runs of two steps
    for _ in range(400):
        runtime.start_run("sample", 2, entrypoint="many")
    wait_until(postgres_url, ALL_ENDED)

    # then: each run began once and ended once, many with both workers at work
    assert {run.status for run in runtime.runs()} == {RunStatus.SUCCEEDED}
    for type in (EventType.RUN_STARTED, EventType.RUN_SUCCEEDED):
        found = ask(postgres_url, "SELECT run_key FROM events WHERE type = %s", (type,))
        assert Counter(Counter(found).values()) == {1: 400}, type
    shared = ask(
        postgres_url, "SELECT run_key FROM steps GROUP BY 1 HAVING count(DISTINCT worker) > 1"
    )
    figure(f"runs that two workers shared: {len(shared)}")
    assert shared
    assert deadlocks(postgres_url) == before


@pytest.mark.parametrize(("queue", "each"), [("narrow", False), ("each", True)])
def test_no_more_run_at_once_than_a_queue_allows(
    runtime: Runtime, postgres_url: str, spawn: Spawn, tmp_path: Path, queue: str, each: bool
) -> None:
    # given: three processes with four threads each
    runtime.define_queue(Queue("narrow", max_in_flight=3))
    runtime.define_queue(Queue("each", max_per_worker=2))
    for _ in range(3):
        spawn(postgres_url, threads=4)

    # when: a queue lets three through in all, or two to each worker
    log = tmp_path / "log"
    order = {"count": "150", "queue": queue, "log": str(log)}
    ended = runtime.start_run("sample", order, entrypoint="turned").wait(PATIENCE)

    # then: nobody ever ran more
    assert ended.status is RunStatus.SUCCEEDED
    most = most_at_once(log, each=each)
    assert len(most) == (3 if each else 1)
    assert 1 < max(most.values()) <= (2 if each else 3)


def most_at_once(log: Path, *, each: bool) -> dict[str, int]:
    """The most steps that ran at once: in all, or for each process."""
    running: Counter[str] = Counter()
    most: dict[str, int] = {}
    for line in log.read_text().splitlines():
        sign, pid = line.split()
        who = pid if each else "all"
        running[who] += 1 if sign == "+" else -1
        most[who] = max(most.get(who, 0), running[who])
    assert not +running
    return most


def test_a_rate_holds_over_all_processes(
    runtime: Runtime, postgres_url: str, spawn: Spawn, tmp_path: Path
) -> None:
    # given: two processes, and a queue of 50 steps a second and 5 saved up
    runtime.define_queue(Queue("rated", rate_limit=50, burst=5))
    for _ in range(2):
        spawn(postgres_url, threads=8)

    # when: more is ready than that
    order = {"count": "100", "queue": "rated", "log": str(tmp_path / "log")}
    ended = runtime.start_run("sample", order, entrypoint="turned").wait(PATIENCE)

    # then: in no stretch of time were more claimed than saved up and refilled in it
    assert ended.status is RunStatus.SUCCEEDED
    times = [at for (at,) in ask(postgres_url, "SELECT started_at FROM steps ORDER BY 1")]
    for first, begin in enumerate(times):
        for count, end in enumerate(times[first:], start=1):
            assert count <= 5 + 50 * (end - begin) / 1e6 + 1
    assert len(set(ask(postgres_url, "SELECT worker FROM steps"))) == 2


def test_a_new_limit_holds_at_once_in_workers_that_knew_none(
    runtime: Runtime, postgres_url: str, spawn: Spawn, tmp_path: Path
) -> None:
    # given: workers that have seen no limit on the default queue
    for _ in range(2):
        spawn(postgres_url, threads=4)
    runtime.start_run("sample", 10, entrypoint="many").wait(PATIENCE)

    # when: another process gives it one
    runtime.define_queue(Queue("default", max_in_flight=1))
    log = tmp_path / "log"
    order = {"count": "60", "queue": "default", "log": str(log)}
    ended = runtime.start_run("sample", order, entrypoint="turned").wait(PATIENCE)

    # then: they keep to it
    assert ended.status is RunStatus.SUCCEEDED
    assert most_at_once(log, each=False) == {"all": 1}
