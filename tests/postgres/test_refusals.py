"""What the command line says of a server that cannot be used, and what it keeps to itself."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from stepwell.stores.sql.schema.migrations import LATEST
from tests.conftest import url_of
from tests.postgres.server import OwnServer, ask

STEPWELL = Path(sys.executable).with_name("stepwell")
PASSWORD = "open-sesame"


def stepwell(url: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Call the command line; whatever it says, it does not say the password."""
    done = subprocess.run(
        [STEPWELL, "--store", url, *args], capture_output=True, text=True, timeout=60, check=False
    )
    assert PASSWORD not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def with_password(url: str) -> str:
    """The same database; the server asks for no password, but does not mind one."""
    return url.replace("postgres:@", f"postgres:{PASSWORD}@")


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    """A database without tables."""
    name = Identifier("stepwell_empty")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(SQL("CREATE DATABASE {}").format(name))
    yield with_password(url_of(postgres_server, "stepwell_empty"))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        (f"postgresql://ann:{PASSWORD}@127.0.0.1:1/db", 8, "check that the server runs"),
        (f"postgresql://ann:{PASSWORD}@no-such-host.invalid/db", 8, "check that the server runs"),
        (f"postgresql://ann:{PASSWORD}@/db?host=/nowhere", 8, "check that the server runs"),
        (f"postgresql://127.0.0.1:1/db?password={PASSWORD}", 8, "check that the server runs"),
        (f"postgresql://ann:{PASSWORD}/x@host/db", 2, "cannot be read"),
        (f"postgresql://ann:{PASSWORD}@x@host/db", 2, "cannot be read"),
        (f"postgresql://ann:{PASSWORD}@host/db?nonsense=1", 2, "unknown parameter 'nonsense'"),
        ("postgresql://ann@host/db?ssl_mode=require", 2, "did you mean 'sslmode'?"),
        ("postgresql://ann:1/x?secret=1@host/db", 2, "cannot be read; write"),
        (f"host=localhost password={PASSWORD}", 2, "must be a URL"),
        (f"postgers://ann:{PASSWORD}@host/db", 2, "did you mean 'postgresql'?"),
    ],
)
@pytest.mark.parametrize("command", ["list", "run-once", "worker", "db upgrade", "db check"])
def test_a_url_that_leads_nowhere(url: str, code: int, says: str, command: str) -> None:
    if command == "worker" and code == 8:
        pytest.skip("a worker waits for a server: see test_faults")
    done = stepwell(url, *command.split())

    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: store")
    assert says in done.stderr


def test_a_database_that_is_not_there(postgres_server: str) -> None:
    done = stepwell(with_password(url_of(postgres_server, "nowhere")), "list")

    assert done.returncode == 8
    assert "create the database first, or name another" in done.stderr


def test_a_user_that_is_not_there(postgres_server: str) -> None:
    url = url_of(postgres_server, "postgres").replace("postgres:@", f"ann:{PASSWORD}@", 1)

    done = stepwell(url, "list")

    assert done.returncode == 8
    assert "check user and password" in done.stderr


def test_a_wrong_password(server: OwnServer) -> None:
    # given: a server that asks one user for a password
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE ann LOGIN PASSWORD 'secret'")
        (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        path = Path(rules)
        path.write_text(f"local all ann scram-sha-256\n{path.read_text()}")
        connection.execute("SELECT pg_reload_conf()")

    # when
    done = stepwell(server.url.replace("postgres:@", f"ann:{PASSWORD}@"), "list")
    without = stepwell(server.url.replace("postgres:@", "ann@"), "list")

    # then
    assert without.returncode == 8
    assert without.stderr.endswith("no password supplied; give a password\n")
    assert done.returncode == 8
    assert "check user and password" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_speaks_no_ssl() -> None:
    # given: one that refuses the encryption it is asked for, as a server without it does
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(8)
                connection.sendall(b"N")

        pool.submit(refuse)
        port = listener.getsockname()[1]

        # when
        done = stepwell(f"postgresql://ann@127.0.0.1:{port}/db?sslmode=require", "list")

    # then
    assert done.returncode == 8
    assert "the server does not speak SSL" in done.stderr


def test_a_user_without_rights_on_the_tables(empty: str) -> None:
    # given: a store, and another user of the same database
    assert stepwell(empty, "db", "upgrade").returncode == 0
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stepwell_guest")
        connection.execute("CREATE ROLE stepwell_guest LOGIN")
    guest = empty.replace("//postgres:", "//stepwell_guest:")

    # when, then: it is not told to upgrade
    for command in ("db check", "status", "list", "db upgrade"):
        done = stepwell(guest, *command.split())

        assert done.returncode == 8, done
        assert "permission denied" in done.stderr
        assert "connect as the owner of the tables" in done.stderr
        assert "db upgrade" not in done.stderr


@pytest.mark.parametrize("command", ["list", "worker", "status", "run-once"])
def test_a_server_is_never_migrated_silently(empty: str, command: str) -> None:
    done = stepwell(empty, command)

    assert done.returncode == 8
    assert "; run: " in done.stderr
    assert done.stderr.endswith(" db upgrade\n")
    assert ask(empty, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_newer_store_is_refused_before_any_write(empty: str) -> None:
    assert stepwell(empty, "db", "upgrade").returncode == 0
    with psycopg.connect(empty) as connection:
        connection.execute("UPDATE meta SET value = 4711 WHERE name = 'schema_version'")

    for command in ("list", "worker", "db upgrade", "db check"):
        done = stepwell(empty, *command.split())

        assert done.returncode == 8
        assert "version 4711, newer than this code" in done.stderr


def test_a_database_of_somebody_else_is_left_alone(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute("CREATE TABLE invoices (id BIGINT)")
        connection.execute("CREATE TABLE meta (note TEXT)")

    for command in ("list", "status", "db check", "db upgrade"):
        done = stepwell(empty, *command.split())

        assert done.returncode == 8
        assert "holds other tables (invoices, meta)" in done.stderr


def test_five_upgrades_at_once_make_one_schema(empty: str) -> None:
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(lambda _: stepwell(empty, "db", "upgrade"), range(5)))

    assert [each.returncode for each in done] == [0] * 5, [each.stderr for each in done]
    said = [each.stdout.rpartition(": ")[2] for each in done]
    # Each migration is a transaction of its own, so two of them may have shared the work.
    applied = [line.removeprefix("applied ") for line in said if line != "is up to date\n"]
    numbers = [f"{number:04}" for number in range(1, LATEST + 1)]
    assert sorted(re.findall(r"\w+", "".join(applied))) == numbers
    checked = stepwell(empty, "db", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith(
        "/stepwell_empty?host=" + socket_of(empty) + f": schema {LATEST} of {LATEST}\n"
    )


def test_the_printed_script_makes_the_same_schema(empty: str) -> None:
    script = stepwell(empty, "db", "sql")
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(script.stdout.encode())

    assert stepwell(empty, "db", "check").returncode == 0
    assert stepwell(empty, "db", "upgrade").stdout.endswith("is up to date\n")


@pytest.mark.parametrize(
    "command", ["list", "status", "queues", "workers", "db check", "db upgrade", "run-once"]
)
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_no_command_prints_the_password(
    postgres_url: str, command: str, json: tuple[str, ...]
) -> None:
    done = stepwell(with_password(postgres_url), *json, *command.split())

    assert done.returncode == 0


def socket_of(url: str) -> str:
    return str(conninfo_to_dict(url)["host"])
