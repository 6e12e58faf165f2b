"""What of a payload a server shows to those who may see its statements: in its log, say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stepwell import Package, RunBuilder, StepContext, connect
from tests.docs.pages import ROOT, blocks
from tests.postgres.server import OwnServer, own_server

PAGE = ROOT / "SECURITY.md"
PATIENCE = 60
ROUNDS = 4  # a statement is written out, if at all, when it comes for the second time
LONG = 20_000
SHOWN = ("in-the-input", "in-the-result", "in-the-record", "in-a-message", "in-a-value", "in-kv")


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A server that logs each statement, without the values that it is given apart."""
    with own_server() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("ALTER SYSTEM SET log_parameter_max_length = 0")
            connection.execute("SELECT pg_reload_conf()")
        yield server


def logged_by_runs_of(server: OwnServer, length: int, folder: Path, role: str = "postgres") -> str:
    """What the server logs of some runs whose payloads have this length."""
    demo = Package("demo")

    def long(word: str) -> str:
        return word.ljust(length, ".")

    @demo.executor("work")
    def work(step: StepContext, given: str) -> str:
        step.record("some", "key", long("in-the-record"))
        step.send(step.run.id, "topic", long("in-a-message"))
        step.set_value("value", long("in-a-value"))
        step.kv.set("key", long("in-kv"))
        return long("in-the-result")

    @demo.entrypoint
    def start(run: RunBuilder, given: str) -> None:
        run.step(work, given)

    log = Path(server._server.log)
    before = log.stat().st_size
    url = server.url.replace("//postgres:", f"//{role}:")
    with connect(url, packages=[demo], home=folder) as runtime:
        for _ in range(ROUNDS):
            run = runtime.start_run("demo", long("in-the-input"))
            runtime.drain(run.id, timeout=PATIENCE)
            assert runtime.run(run.id).status == "succeeded"
    with log.open("rb") as file:
        file.seek(before)
        return file.read().decode()


def test_long_payloads_are_no_part_of_a_statement(server: OwnServer, tmp_path: Path) -> None:
    told = logged_by_runs_of(server, LONG, tmp_path)

    assert "EXECUTE stepwell_" in told  # it is written what is done
    assert [word for word in SHOWN if word in told] == []


def test_short_ones_are_as_the_page_about_security_says(server: OwnServer, tmp_path: Path) -> None:
    told = logged_by_runs_of(server, 20, tmp_path)

    assert "in-the-result" in told


def test_nothing_is_logged_of_a_role_with_the_settings_of_that_page(
    server: OwnServer, tmp_path: Path
) -> None:
    # given
    (settings,) = (
        block for block in blocks("SECURITY.md", PAGE.read_text()) if block.language == "sql"
    )
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE stepwell LOGIN")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO stepwell")
        for line in settings.text.splitlines():
            connection.execute(line.encode())

    # when
    told = logged_by_runs_of(server, 20, tmp_path, role="stepwell")

    # then
    assert [word for word in SHOWN if word in told] == []
