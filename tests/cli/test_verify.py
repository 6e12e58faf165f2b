"""`stepwell verify`, on a store that is right and on one that is not."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from stepwell.engine.verification import CHECKS
from tests.cli.conftest import CommandLine, Shell

STORE = Path(".stepwell/engine.db")


def damage(*statements: str) -> None:
    with closing(sqlite3.connect(STORE)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_store_that_is_right_is_one_line(cli: CommandLine) -> None:
    cli.run("ok=3", "files=true")

    result = cli("verify")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"sqlite:///{STORE}: all {len(CHECKS)} checks hold\n"
    assert result.stderr == ""


def test_as_json(cli: CommandLine) -> None:
    cli.run("ok=1")

    found = cli.json("verify")

    assert found == {"ok": True, "checked": [*CHECKS], "counts": {}, "violations": []}


def test_each_violation_is_a_line_and_the_exit_code_is_8(cli: CommandLine) -> None:
    run = cli.run("ok=3")
    damage("UPDATE runs SET total_steps = 7", "DELETE FROM results")

    result = cli("verify", "--most", "2")

    assert result.exit_code == 8
    assert result.stdout.splitlines() == [
        f"settled: run {run!r} step 'ok:0' succeeded, but has no result",
        f"settled: run {run!r} step 'ok:1' succeeded, but has no result",
        "settled: and 1 more",
        f"counters: run {run!r} counts 7 steps, but has 3",
    ]
    assert result.stderr.startswith("error: 4 violations of what must hold; ")


def test_violations_as_json(cli: CommandLine) -> None:
    run = cli.run("ok=1")
    damage("DELETE FROM results")

    result = cli("verify", "--json")

    assert result.exit_code == 8
    found = json.loads(result.stdout)
    assert (found["ok"], found["counts"]) == (False, {"settled": 1})
    assert found["violations"] == [
        {
            "check": "settled",
            "message": "succeeded, but has no result",
            "run_id": run,
            "step_id": "ok:0",
        }
    ]
    assert json.loads(result.stderr.splitlines()[-1])["error"]["code"] == "corrupt_data"


def test_missing_artifact(cli: CommandLine) -> None:
    run = cli.run("files=true")
    (path,) = Path(".stepwell/artifacts").glob("??/*")
    path.unlink()

    result = cli("verify")

    assert result.exit_code == 8
    assert f"artifacts: run {run!r} step 'files' artifact 'raw.bin'" in result.stdout
    assert "its 256 bytes are missing" in result.stdout


def test_without_a_store_nothing_is_made(cli: CommandLine) -> None:
    result = cli("verify")

    assert result.exit_code == 8
    assert "there is no store" in result.stderr
    assert not STORE.exists()


def test_damaged_file_is_told_without_a_traceback(cli: CommandLine, shell: Shell) -> None:
    cli.run("ok=200")
    size = STORE.stat().st_size
    with STORE.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\0" * 4096)

    done = shell("verify")

    assert done.returncode == 8
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("integrity: ") or "damaged" in done.stderr
