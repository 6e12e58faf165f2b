"""What people are told to type acts on the store that they named."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stepwell.cli.logs import LineFormatter
from stepwell.cli.session import Session
from stepwell.stores.postgres_url import typed
from tests.cli.conftest import SAMPLE, WAITING, CommandLine

STORE = ("--store", "sqlite:///else.db")
HOME = ("--home", "else where")


@pytest.mark.parametrize("named", [STORE, HOME], ids=["store", "home"])
@pytest.mark.parametrize(
    ("start", "command", "hint"),
    [
        (
            ("sample:start", "--set", "fail=12"),
            "show r --limit 2",
            "show r --limit 2 --after fail:1",
        ),
        (("sample:start", "--set", "ok=1"), "show r", f"--app {SAMPLE} worker"),
        (("sample:start", "--set", "ok=1"), "pause r", "resume r"),
        (("sample:start", "--set", "ok=1"), "hold r ok:0", "release r ok:0"),
    ],
)
def test_hints_name_the_store(
    cli: CommandLine, named: tuple[str, str], start: tuple[str, ...], command: str, hint: str
) -> None:
    cli("--app", SAMPLE, *named, "start", *start, "--run-id", "r")

    told = cli("--app", SAMPLE, *named, *command.split())

    assert f"stepwell {shlex.join(named)} {hint}" in told.stdout + told.stderr


def test_run_names_the_store_in_what_it_tells_of_its_end(cli: CommandLine) -> None:
    start = ("--app", SAMPLE, *STORE, "run", "sample:start", "--run-id", "r", "-q")

    told = cli(*start, "--set", "fail=12").stderr
    files = cli(*start[:-2], "f", "-q", "--set", "files=true").stderr

    assert f"… and 2 more: stepwell {shlex.join(STORE)} show r --status failed\n" in told
    assert f": stepwell {shlex.join(STORE)} artifact " in files


def test_what_waits_names_the_store(cli: CommandLine) -> None:
    cli(
        "--app",
        WAITING,
        *STORE,
        "start",
        "waiting:start",
        "--run-id",
        "r",
        "--set",
        'approvals=["ask"]',
    )
    while '"processed": 0' not in cli("--app", WAITING, *STORE, "run-once", "--json").stdout:
        pass

    assert f"give it: stepwell {shlex.join(STORE)} approve r ask" in cli(*STORE, "show", "r").stdout


def test_errors_of_the_rooms_below_name_the_store(cli: CommandLine, tmp_path: Path) -> None:
    cli(*STORE, "db", "upgrade")
    session = Session()
    session.flags["store"] = STORE[1]

    nothing = cli(*STORE, "show", "last")
    verify = session.with_hints("it is damaged; look at it with: stepwell verify")

    assert nothing.stderr == (
        f"error: there is no run yet; start one: stepwell {shlex.join(STORE)} run PACKAGE\n"
    )
    assert verify == f"it is damaged; look at it with: stepwell {shlex.join(STORE)} verify"
    # … what names its store already is left as it is
    assert session.with_hints(verify) == verify
    again = f"run: python -m stepwell {shlex.join(STORE)} db upgrade"
    assert session.with_hints(again) == again
    assert session.with_hints("run: .venv/bin/stepwell verify") == "run: .venv/bin/stepwell verify"
    assert LineFormatter(session)._with_hints("stepwell verify").endswith("else.db verify")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgres://ann@host:5433/db", "postgresql://ann@host:5433/db"),
        ("postgresql://ann:geheim@host/db", "postgresql://ann:***@host/db"),
        ("postgresql:///db?host=/run/pg&port=6", "postgresql:///db?host=/run/pg&port=6"),
        ("postgresql://host/db?password=geheim", "postgresql://:***@host/db"),
        (
            "postgresql://a:geheim@one,two/db?sslmode=require&sslpassword=geheim",
            "postgresql://a:***@/db?host=one,two&port=,&sslmode=require&sslpassword=***",
        ),
        ("postgresql://a%20b:ge%40heim@h/d%2Fb", "postgresql://a%20b:***@h/d/b"),
    ],
)
def test_a_url_is_typed_again_without_its_secrets(url: str, shown: str) -> None:
    assert typed(url) == shown
