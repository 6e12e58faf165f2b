"""`stepwell kv`: the key-value store of all runs."""

from __future__ import annotations

from pathlib import Path

from stepwell.engine.clock import SystemClock, VirtualClock, to_datetime
from stepwell.stores import opening
from tests.cli.conftest import CommandLine


def test_set_makes_the_store_and_get_prints_the_value_alone(cli: CommandLine) -> None:
    set_ = cli("kv", "set", "limits/a", '{"n": 1}')
    got = cli("kv", "get", "limits/a")

    assert (set_.exit_code, set_.stdout) == (0, "limits/a has version 1\n")
    assert (got.stdout, got.stderr) == ('{"n": 1}\n', "")


def test_an_entry_as_json(cli: CommandLine) -> None:
    assert cli.json("kv", "set", "k", "1") == {"key": "k", "version": 1}
    assert cli.json("kv", "set", "k", "null", "--expires-in", "60") == {"key": "k", "version": 2}

    entry = cli.json("kv", "get", "k")

    assert (entry["key"], entry["value"], entry["version"]) == ("k", None, 2)
    assert entry["expires_at"] > entry["updated_at"]
    assert entry["updated_at"].endswith("Z")


def test_a_value_from_stdin_or_behind_two_dashes(cli: CommandLine) -> None:
    cli("kv", "set", "piped", "-", input="[1, 2]")
    cli("kv", "set", "--", "below", "-5")

    assert cli.json("kv", "get", "piped")["value"] == [1, 2]
    assert cli.json("kv", "get", "below")["value"] == -5


def test_only_the_expected_version_is_replaced(cli: CommandLine) -> None:
    assert cli("kv", "set", "k", "1", "--version", "0").exit_code == 0

    taken = cli("kv", "set", "k", "2", "--version", "0")
    right = cli("kv", "set", "k", "3", "--version", "1")
    late = cli("kv", "set", "k", "4", "--version", "1")

    assert (taken.exit_code, taken.stdout) == (4, "")
    assert taken.stderr == (
        "error: kv 'k': expected version 0, but it has version 1; nothing was stored\n"
    )
    assert (right.exit_code, late.exit_code) == (0, 4)
    assert cli.json("kv", "get", "k")["value"] == 3


def test_delete(cli: CommandLine) -> None:
    cli("kv", "set", "k", "1")

    other = cli("kv", "delete", "k", "--version", "7")
    right = cli("kv", "delete", "k", "--version", "1", "--json")
    again = cli("kv", "delete", "k")

    assert other.exit_code == 4
    assert other.stderr.endswith("but it has version 1; nothing was removed\n")
    assert (right.exit_code, right.stdout) == (0, '{\n  "key": "k",\n  "deleted": true\n}\n')
    assert (again.exit_code, again.stderr) == (3, "error: there is no key 'k'\n")


def test_what_has_expired_is_not_there(cli: CommandLine, tmp_path: Path) -> None:
    cli("kv", "set", "other", "1")
    clock = VirtualClock(to_datetime(SystemClock().micros() - 3_600_000_000))
    store = opening.open_run_store(f"sqlite:///{tmp_path}/.stepwell/engine.db", clock=clock)
    store.kv_set("k", "1", expires_in=1_000_000)
    store.close()

    assert cli("kv", "get", "k").exit_code == 3
    assert [entry["key"] for entry in cli.json("kv", "list")] == ["other"]


def test_list_by_prefix_and_page(cli: CommandLine) -> None:
    assert cli("kv", "set", "a/1", "1").exit_code == 0
    for key in ("a/2", "a/3", "b/1"):
        cli("kv", "set", key, f'"{key}"')

    assert [entry["key"] for entry in cli.json("kv", "list", "a/")] == ["a/1", "a/2", "a/3"]
    page = cli("kv", "list", "--limit", "2")
    assert [line.split()[0] for line in page.stdout.splitlines()] == ["KEY", "a/1", "a/2"]
    assert page.stderr == "there may be more: --after a/2\n"
    rest = cli.json("kv", "list", "--after", "a/2")
    assert [entry["key"] for entry in rest] == ["a/3", "b/1"]
    assert cli("kv", "list", "c").stderr == "no keys that begin with 'c'\n"
    wrong = cli("kv", "get", "a/4")
    assert wrong.stderr.startswith("error: there is no key 'a/4'; did you mean 'a/")
