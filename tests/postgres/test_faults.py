"""What a server and its network can do to workers, and what it may not cost."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stepwell import EventType, RunStatus, Runtime, StoreError, connect
from stepwell.engine.events import Observers
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.store import SqlRunStore
from tests.postgres.conftest import PATIENCE, Spawn
from tests.postgres.server import OwnServer, ask, figure, terminate_backends, wait_until
from tests.postgres.worker_program import sample

PROGRAM = Path(__file__).with_name("worker_program.py")
COMEBACK = 5.0
STEPS = 4_000
# Trouble is logged when it begins and not for each try.
LINES_PER_FAULT = 4


def succeeded(url: str) -> int:
    """How many steps have committed."""
    sql = "SELECT count(*) FROM events WHERE type = %s"
    return int(ask(url, sql, (EventType.STEP_SUCCEEDED,))[0][0])


def next_commit(url: str, more_than: int) -> None:
    """Wait until a worker commits again, and check that it was soon."""
    began = ask(url, "SELECT extract(epoch FROM clock_timestamp())")[0][0]
    sql = "SELECT 1 FROM events WHERE type = 'step.succeeded' HAVING count(*) > %s"
    wait_until(url, sql, (more_than,))
    took = ask(url, "SELECT extract(epoch FROM clock_timestamp())")[0][0] - began
    figure(f"back after {took:.2f} s")
    assert took < COMEBACK


def check_nothing_lost_or_twice(url: str, count: int) -> None:
    found = Counter(ask(url, "SELECT step FROM events WHERE type = 'step.succeeded'"))
    assert len(found) == count
    assert set(found.values()) == {1}
    assert ask(url, "SELECT status, count(*) FROM steps GROUP BY 1") == [("succeeded", count)]
    assert ask(url, "SELECT count(*) FROM results") == [(count,)]


def chains(runtime: Runtime) -> list[str]:
    """Runs that keep workers busy for long: one step after another, three times."""
    return [
        runtime.start_run("sample", STEPS, entrypoint="chain", run_id=f"chain:{n}").id
        for n in range(3)
    ]


CONNECTED = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'stepwell' HAVING count(*) > 3"
)
ENDED = "SELECT 1 WHERE NOT EXISTS (SELECT FROM runs WHERE ended_at IS NULL)"


def test_backends_killed_under_load(runtime: Runtime, postgres_url: str, spawn: Spawn) -> None:
    # given: two workers under load
    workers = [spawn(postgres_url, lease=5) for _ in range(2)]
    chains(runtime)

    # when: all their connections are broken off, again and again
    for _ in range(5):
        wait_until(postgres_url, CONNECTED)
        assert terminate_backends(postgres_url) > 1
        next_commit(postgres_url, succeeded(postgres_url))

    # then: they end the work with nothing lost or twice, and few words
    wait_until(postgres_url, ENDED)
    check_nothing_lost_or_twice(postgres_url, 3 * STEPS)
    for worker in workers:
        assert len(worker.lines()) <= 5 * LINES_PER_FAULT, worker.lines()
        assert worker.process.poll() is None


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_server_stopped_and_started_under_load(
    server: OwnServer, spawn: Spawn, tmp_path: Path, mode: str
) -> None:
    # given: two workers under load
    workers = [spawn(server.url, lease=5) for _ in range(2)]
    with connect(server.url, home=tmp_path, packages=[sample]) as runtime:
        chains(runtime)

    # when: the server goes and comes back
    for _ in range(3):
        server.stop(mode)
        server.start()
        next_commit(server.url, succeeded(server.url))

    # then: what was acknowledged is there, and nothing is there twice
    wait_until(server.url, ENDED)
    check_nothing_lost_or_twice(server.url, 3 * STEPS)
    for worker in workers:
        assert len(worker.lines()) <= 3 * LINES_PER_FAULT, worker.lines()
        assert worker.process.poll() is None


class Trouble(logging.Handler):
    """Tells when a worker has found its store out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.found = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.found.set()


@pytest.fixture
def trouble() -> Iterator[Trouble]:
    handler, logger = Trouble(), logging.getLogger("stepwell.worker")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_worker_that_begins_while_the_server_restarts_waits_for_it(
    server: OwnServer, tmp_path: Path, trouble: Trouble
) -> None:
    with connect(server.url, home=tmp_path, packages=[sample]) as runtime:
        run = runtime.start_run("sample", 3, entrypoint="chain")
        server.stop()

        # when a worker begins meanwhile
        with runtime.worker(queues=["default"]):
            assert trouble.found.wait(PATIENCE)
            server.start()
            ended = run.wait(timeout=PATIENCE).status

        # then it works as soon as it can, and has said so once
        assert ended is RunStatus.SUCCEEDED
        assert len([line for line in trouble.lines if line.endswith("; trying again")]) == 1


def test_a_worker_that_never_reached_its_server_stops_when_told(
    server: OwnServer, tmp_path: Path, trouble: Trouble
) -> None:
    with connect(server.url, home=tmp_path, packages=[sample]) as runtime:
        server.stop()

        with runtime.worker():
            assert trouble.found.wait(PATIENCE)

        # … and who is not patient is told at once
        with pytest.raises(StoreError, match="check that the server runs"):
            runtime.run_once()
    server.start()


def stepwell_worker(url: str, folder: Path) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("stepwell")
    return subprocess.Popen(
        [program, "--store", url, "--home", folder, "--app", f"{PROGRAM}:sample", "worker"],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_waits_for_a_server_that_restarts(server: OwnServer, tmp_path: Path) -> None:
    # given: the command is called while the server is down
    server.stop()
    with stepwell_worker(server.url, tmp_path) as worker:
        assert worker.stderr is not None
        line = worker.stderr.readline()
        assert line.startswith("warning: store postgresql://"), line
        assert line.endswith("; trying again\n")

        # when: it is there again
        server.start()
        with connect(server.url, home=tmp_path, packages=[sample]) as runtime:
            run = runtime.start_run("sample", 3, entrypoint="chain")
            ended = run.wait(timeout=PATIENCE).status
        worker.terminate()
        worker.communicate()

    # then
    assert ended is RunStatus.SUCCEEDED
    assert worker.returncode == 0


def test_the_command_that_waits_ends_at_a_signal(server: OwnServer, tmp_path: Path) -> None:
    server.stop()
    with stepwell_worker(server.url, tmp_path) as worker:
        assert worker.stderr is not None
        worker.stderr.readline()

        worker.terminate()
        _, rest = worker.communicate()

    assert (worker.returncode, rest) == (143, "")
    server.start()


class Deaf(PostgresDialect):
    """Loses the acknowledgement of the commits that `loses` is true for, and the connection."""

    loses: Callable[[int], bool] = staticmethod(lambda number: number % 7 == 0)
    commits = 0

    def commit(self, cursor: Any, *, news: int) -> None:
        super().commit(cursor, news=news)
        self.commits += 1
        if self.loses(self.commits):
            cursor.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")


def test_commits_whose_acknowledgement_is_lost(
    runtime: Runtime, postgres_url: str, tmp_path: Path
) -> None:
    # given: a worker that does not hear of every seventh commit, and leases that hold for long
    dialect = Deaf(postgres_url)
    observers = Observers()
    store = SqlRunStore.open(dialect, observers)
    for number in range(20):
        runtime.start_run("sample", 20, entrypoint="many", run_id=f"many:{number}")
    settings = {"lease": 600.0, "poll_interval": 0.1, "threads": 2}

    # when: it works
    with (
        connect(store, home=tmp_path, packages=[sample], settings=settings) as deaf,
        deaf.worker(),
    ):
        wait_until(postgres_url, ENDED)

    # then: all is committed once, long before a lease would have lapsed
    figure(f"{dialect.commits} commits, every seventh unheard")
    assert dialect.commits > 14
    check_nothing_lost_or_twice(postgres_url, 400)
    assert ask(postgres_url, "SELECT max(lost_leases) FROM steps") == [(0,)]
    released = ask(
        postgres_url,
        "SELECT 1 FROM events WHERE type = 'step.released' AND data LIKE '%%not acknowledged%%'",
    )
    assert released


def test_a_program_does_not_see_that_idle_connections_were_lost(
    runtime: Runtime, postgres_url: str, tmp_path: Path
) -> None:
    with connect(postgres_url, home=tmp_path, packages=[sample]) as idle:
        assert idle.runs() == []

        terminate_backends(postgres_url)

        assert idle.runs() == []
        run = idle.start_run("sample", 1, entrypoint="many")
        idle.drain(run.id, timeout=PATIENCE)
        assert run.status() is RunStatus.SUCCEEDED


def test_a_program_is_told_when_the_server_is_gone(server: OwnServer, tmp_path: Path) -> None:
    with connect(server.url, home=tmp_path, packages=[sample]) as runtime:
        server.stop()

        with pytest.raises(StoreError, match="check that the server runs"):
            runtime.start_run("sample", 1, entrypoint="many")
        with pytest.raises(StoreError, match="check that the server runs"):
            runtime.runs()

        server.start()
        assert runtime.runs() == []
