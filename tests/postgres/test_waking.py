"""Hints travel by LISTEN and NOTIFY: work begins elsewhere at once, and idling costs little."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median

from stepwell import Runtime, connect
from tests.postgres.conftest import Spawn
from tests.postgres.server import ask, figure, terminate_backends, wait_until
from tests.postgres.worker_program import sample

# A worker that nobody wakes looks once in this many seconds.
SELDOM = 30.0
IDLE_WORKERS = 50
MOST_QUERIES = 100


def delays(runtime: Runtime, url: str, count: int) -> list[float]:
    """Milliseconds from a step's readiness to its claim, one run after the other."""
    found = []
    for _ in range(count):
        run = runtime.start_run("sample", 1, entrypoint="many")
        ended = wait_until(
            url,
            "SELECT (steps.started_at - steps.ready_at) / 1000.0 FROM steps "
            "JOIN runs ON runs.id = run_key WHERE runs.run_id = %s AND steps.status = 'succeeded'",
            (run.id,),
        )
        found.append(float(ended[0][0]))
    return found


def test_a_step_starts_on_an_idle_worker_elsewhere_at_once(
    runtime: Runtime, postgres_url: str, spawn: Spawn
) -> None:
    spawn(postgres_url, poll_interval=SELDOM)
    delays(runtime, postgres_url, 3)

    found = delays(runtime, postgres_url, 40)

    figure(f"woken: p50 {median(found):.1f} ms, most {max(found):.1f} ms")
    assert median(found) < 250


def test_a_lost_listener_is_back_at_once(runtime: Runtime, postgres_url: str, spawn: Spawn) -> None:
    # given: an idle worker that listens
    spawn(postgres_url, poll_interval=SELDOM)
    delays(runtime, postgres_url, 1)

    for _ in range(5):
        # when: its connections are broken off
        assert terminate_backends(postgres_url) >= 2
        wait_until(
            postgres_url,
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' "
            "AND application_name = 'stepwell' AND datname = current_database()",
        )

        # then: it hears of the next step as before
        assert min(delays(runtime, postgres_url, 3)) < 250


def test_fifty_idle_workers_hardly_ask(postgres_url: str, tmp_path: Path) -> None:
    # given: many workers with nothing to do, as they are by default
    with ExitStack() as stack:
        for _ in range(IDLE_WORKERS // 10):
            own = stack.enter_context(connect(postgres_url, home=tmp_path, packages=[sample]))
            for _ in range(10):
                stack.enter_context(own.worker())
        wait_until(postgres_url, "SELECT 1 FROM workers HAVING count(*) = 50")

        ask(postgres_url, "SELECT pg_sleep(2)")  # their start is over

        # when: a stretch of the server's time goes by
        before = counted(postgres_url)
        ask(postgres_url, "SELECT pg_sleep(5)")
        after = counted(postgres_url)

    # then: they ended few transactions
    seconds = after[1] - before[1]
    rate = (after[0] - before[0]) / seconds
    figure(f"{IDLE_WORKERS} idle workers: {rate:.0f} transactions/s over {seconds:.1f} s")
    assert rate < MOST_QUERIES


def counted(url: str) -> tuple[float, float]:
    """Transactions so far, and the server's time."""
    (row,) = ask(
        url,
        "SELECT xact_commit + xact_rollback, extract(epoch FROM clock_timestamp()) "
        "FROM pg_stat_database WHERE datname = current_database()",
    )
    return float(row[0]), float(row[1])
