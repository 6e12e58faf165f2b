"""Flags of `start`, `run` and `retry` that say when, where and for how long a run runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine


def start(cli: CommandLine, *flags: str) -> str:
    done = cli.sample("start", "sample:start", "--set", "ok=1", *flags)
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def shown(cli: CommandLine, run: str) -> dict[str, object]:
    done = cli("show", run, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)["run"]
    return found


def test_flags_are_options_of_the_run(cli: CommandLine) -> None:
    run = start(
        cli,
        *("--queue", "slow", "--priority", "-3", "--partition-key", "ann", "--version", "7"),
        *("--dedup-key", "k", "--dedup-for", "60", "--delay", "30", "--start-by", "40"),
        *("--run-timeout", "50", "--deadline", "2999-12-31T00:00Z"),
    )

    found = shown(cli, run)
    assert (found["queue"], found["priority"], found["partition_key"]) == ("slow", -3, "ann")
    assert (found["version"], found["dedup_key"], found["dedup_for"]) == ("7", "k", 60.0)
    assert (found["timeout"], found["deadline"]) == (50.0, "2999-12-31T00:00:00.000000Z")
    assert found["start_at"]
    assert found["start_by"]


def test_duplicate_prints_the_id_of_the_run_that_is_there(cli: CommandLine) -> None:
    run = start(cli, "--dedup-key", "k")

    same = ("start", "sample:start", "--set", "ok=2", "--dedup-key", "k")
    again = cli.sample(*same)
    replaced = cli.sample(*same, "--on-duplicate", "replace")
    refused = cli.sample(*same, "--on-duplicate", "refuse")

    assert (again.stdout.strip(), replaced.stdout.strip()) == (run, run)
    assert f"run {run} was there already; nothing was started" in again.stderr
    assert f"run {run}, which has not begun, has the new input" in replaced.stderr
    assert refused.exit_code == 4
    assert refused.stdout == ""
    assert f"run '{run}' of package 'sample' holds the dedup key 'k'" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--queue", "slwo"), "queue: there is no queue 'slwo'; did you mean 'slow'"),
        (("--priority", "first"), "'first' is not a valid integer"),
        (("--deadline", "tomorrow"), "must be a time with its zone, such as 2030-01-31T18:00Z"),
        (("--deadline", "2030-01-31T18:00"), "must be a time with its zone"),
        (("--deadline", "2001-01-31T18:00Z"), "deadline: must be later than now"),
        (("--start-by", "soon"), "must be a time with its zone"),
        (("--on-duplicate", "skip"), "'skip' is not one of 'return', 'refuse', 'replace'"),
        (("--on-duplicate", "refuse"), "on_duplicate: needs a dedup_key"),
        (("--delay", "1", "--start-at", "2999-01-01T00:00Z"), "give either start_at or delay"),
    ],
)
def test_wrong_flags_are_refused_and_nothing_is_stored(
    cli: CommandLine, flags: tuple[str, ...], message: str
) -> None:
    done = cli.sample("start", "sample:start", *flags)

    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert cli("list", "--json").stdout.strip() in ("", "[]") or not Path(".stepwell").exists()


def test_retry_with_another_key(cli: CommandLine) -> None:
    # given: a run that failed, and another one that has its key
    done = cli.sample("run", "sample:start", "--set", "fail=1", "--dedup-key", "k", "--json")
    assert done.exit_code == 1
    failed = cli.json("list", "--json")[0]["id"]
    other = start(cli, "--dedup-key", "k")

    # when
    refused = cli("retry", failed)
    freed = cli("retry", failed, "--new-key", "")

    # then
    assert refused.exit_code == 4
    assert f"run '{other}' holds the dedup key 'k'" in refused.stderr
    assert freed.exit_code == 0
    assert shown(cli, failed)["dedup_key"] is None


def test_options_do_not_go_with_resume(cli: CommandLine) -> None:
    run = start(cli)

    done = cli.sample("run", "--resume", run, "--run-timeout", "5")

    assert done.exit_code == 2
    assert "--run-timeout does not go with --resume" in done.stderr
