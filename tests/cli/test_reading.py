"""The commands that look, and the operator's acts, on a store with a few runs."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stepwell import Queue, connect
from tests.cli.conftest import SAMPLE, WAITING, CommandLine
from tests.cli.sample_package import sample


def test_run_prints_the_results_of_its_last_steps(cli: CommandLine) -> None:
    result = cli.sample("run", "sample:two")

    assert result.exit_code == 0
    assert result.stdout == "second:\ntwo\nlines\n"
    assert " of sample started\n" in result.stderr
    assert "succeeded 100 %, 2 of 2 steps" in result.stderr
    assert result.stderr.endswith(" s, 2 steps\n")


def test_run_names_the_artifacts_of_its_last_steps(cli: CommandLine) -> None:
    result = cli.sample("run", "sample:start", "--set", "files=true", "--quiet")

    note = cli.json("artifacts", "last")[0]["id"]
    assert result.stdout == "files  null\n"
    assert result.stderr.startswith(f"artifact note.txt of step files: stepwell artifact {note}\n")


def test_run_as_json(cli: CommandLine) -> None:
    result = cli.sample("run", "sample:start", "--set", "ok=2", "--json", "--quiet", "--tag", "a")

    data = json.loads(result.stdout)
    assert data["results"] == {"ok:0": "value 0", "ok:1": "value 1"}
    assert data["run"]["status"] == "succeeded"
    assert data["run"]["tags"] == ["a"]
    assert data["run"]["created_at"].endswith("Z")
    assert data["progress"]["succeeded"] == 2


def test_a_failed_run_tells_why_and_exits_with_1(cli: CommandLine) -> None:
    result = cli.sample("run", "sample:start", "--set", "fail=12", "--quiet")

    assert result.exit_code == 1
    assert "step fail:0 failed: broken: it \\x1b[31mbroke\\nin two\n" in result.stderr
    assert "… and 2 more: stepwell show " in result.stderr
    assert "\x1b" not in result.stderr


def test_start_prints_the_id_and_run_once_works_on_it(cli: CommandLine) -> None:
    started = cli.sample("start", "sample:two")

    assert started.stderr == ""
    assert cli.json("show", started.stdout.strip())["run"]["status"] == "pending"
    cycle = json.loads(cli.sample("run-once", "--json").stdout)
    assert cycle["processed"] == cycle["succeeded"] == 1
    assert cli.json("show", "last")["progress"]["succeeded"] == 1


def test_a_worker_for_some_cycles(cli: CommandLine) -> None:
    cli.sample("start", "sample:two")

    result = cli.sample("worker", "--max-cycles", "1", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"stopped_by": None, "drained": True}
    assert cli.json("workers") == []


def test_resume_goes_on_with_a_run(cli: CommandLine) -> None:
    run_id = cli.sample("start", "sample:two").stdout.strip()

    result = cli.sample("run", "--resume", run_id[:12])

    assert result.exit_code == 0
    assert cli.json("show", run_id)["run"]["status"] == "succeeded"


def test_resume_needs_the_run_s_package(cli: CommandLine) -> None:
    run_id = cli.sample("start", "sample:two").stdout.strip()

    result = cli("run", "--resume", run_id)

    assert result.exit_code == 3
    assert result.stderr.startswith("error: there is no package 'sample'")


def test_list_filters_and_pages(cli: CommandLine) -> None:
    first = cli.run("ok=1")
    second = cli.run("fail=1", code=1)
    cli.sample("start", "sample:two", "--name", "third", "--tag", "red")

    assert [run["id"] for run in cli.json("list")][1:] == [second, first]
    assert [run["id"] for run in cli.json("list", "--status", "failed")] == [second]
    assert [run["name"] for run in cli.json("list", "--name", "third")] == ["third"]
    assert len(cli.json("list", "--tag", "red", "--package", "sample")) == 1
    assert [run["id"] for run in cli.json("list", "--limit", "1", "--before", second)] == [first]
    assert cli.json("list", "--package", "twin") == []
    page = cli("list", "--limit", "1")
    assert page.stdout.splitlines()[0].startswith("ID                  STATUS  ")
    assert page.stderr.startswith("there may be more: --before ")
    assert cli("list", "--name", "none").stderr == "no runs\n"


def test_last_is_the_newest_and_a_run_named_so_goes_first(cli: CommandLine) -> None:
    cli.run("ok=1")
    newest = cli.run("ok=1")

    assert cli.json("show", "last")["run"]["id"] == newest
    with connect(packages=[sample]) as runtime:
        runtime.start_run("sample", entrypoint="two", run_id="last")
    cli.run("ok=1")
    assert cli.json("show", "last")["run"]["id"] == "last"


def test_show_a_run(cli: CommandLine) -> None:
    run_id = cli.run("ok=1", "fail=1", code=1)

    text = cli("show", run_id).stdout

    assert f"run         {run_id}\n" in text
    assert "status      failed\n" in text
    assert "steps       3 in all, 1 succeeded, 1 failed, 1 canceled\n" in text
    assert "fail:0  failed     sample.fail  1        broken: it \\x1b[31mbroke\n" in text
    data = cli.json("show", run_id, "--status", "failed", "--limit", "1")
    assert [step["id"] for step in data["steps"]] == ["fail:0"]
    assert data["steps"][0]["error"]["details"] == {"part": "axle"}


def test_show_says_when_there_are_more_steps(cli: CommandLine) -> None:
    run_id = cli.run("ok=3")

    told = cli("show", "last", "--limit", "2").stderr
    page = cli.json("show", "last", "--limit", "2")

    command = f"stepwell show {run_id} --limit 2"
    assert told == f"there are more of 3 steps: {command} --after ok:1\n"
    assert [step["id"] for step in page["steps"]] == ["ok:0", "ok:1"]
    assert (page["more"], page["next"]) == (True, f"{command} --json --after ok:1")
    last = cli.json(*page["next"].split()[1:-3], "--after", "ok:1")
    assert [step["id"] for step in last["steps"]] == ["ok:2"]
    assert (last["more"], last["next"]) == (False, None)
    assert cli.json("show", "last", "--limit", "3")["more"] is False


def test_pages_of_one_status(cli: CommandLine) -> None:
    cli.run("fail=3", "ok=2", code=1)

    page = cli.json("show", "last", "--status", "failed", "--limit", "2")
    rest = cli.json("show", "last", "--status", "failed", "--limit", "2", "--after", "fail:1")

    assert [step["id"] for step in page["steps"]] == ["fail:0", "fail:1"]
    assert " --status failed --limit 2 --json --after fail:1" in page["next"]
    assert [step["id"] for step in rest["steps"]] == ["fail:2"]
    assert cli("show", "last", "--after", "ok:9").exit_code == 3


def test_failed_steps_come_first_for_people(cli: CommandLine) -> None:
    cli.run("ok=60", "fail=1", code=1)

    shown = cli("show", "last").stdout

    rows = shown[shown.index("STEP ") :].splitlines()[1:]
    assert [row.split()[0] for row in rows[:3]] == ["fail:0", "ok:0", "ok:1"]
    assert cli.json("show", "last")["steps"][0]["id"] == "ok:0"


def test_show_a_step(cli: CommandLine) -> None:
    cli.run("fail=2", code=1)

    text = cli("show", "last", "after").stdout

    assert "status      canceled\n" in text
    assert "depends on  fail:0 (failed; must succeed)\n            fail:1 (failed; must" in text
    assert "(from fail:" in text
    data = cli.json("show", "last", "after")
    assert data["step"]["error"]["code"] == "upstream_failed"
    assert [edge["target"] for edge in data["dependencies"]] == ["fail:0", "fail:1"]


def test_events(cli: CommandLine) -> None:
    run_id = cli.run("fail=1", code=1)

    data = cli.json("events", run_id)
    assert [event["seq"] for event in data] == list(range(1, len(data) + 1))
    assert data[0]["type"] == "run.created"
    assert data[-1]["type"] == "run.failed"
    assert cli.json("events", run_id, "--after", "1") == data[1:]
    lines = cli("events", run_id).stdout.splitlines()
    assert len(lines) == len(data)
    assert "\\x1b[31mbroke\\nin two" in "".join(lines)


def test_events_to_the_end_one_object_per_line(cli: CommandLine) -> None:
    run_id = cli.run("ok=1")

    result = cli("events", run_id, "--follow", "--json")

    assert [json.loads(line) for line in result.stdout.splitlines()] == cli.json("events", run_id)


def test_result(cli: CommandLine) -> None:
    cli.run("ok=1", "fail=1", "note=hi", code=1)

    text = cli("result", "last", "ok:0").stdout
    assert "value      hi\n" in text
    assert "records    notes/ok:0\n" in text
    assert cli.json("result", "last", "ok:0")["value"] == "hi"
    failed = cli("result", "last", "fail:0")
    assert 'details    {"part": "axle"}\n' in failed.stdout
    assert failed.exit_code == 0
    assert cli.json("result", "last", "fail:0")["error"]["code"] == "broken"


def test_records(cli: CommandLine) -> None:
    run_id = cli.run("ok=2", "note=hi\x1b")

    assert cli.json("records", "sample", "notes") == {
        "ok:0": {"note": "hi\x1b"},
        "ok:1": {"note": "hi\x1b"},
    }
    record = cli.json("records", "sample", "notes", "ok:1")
    assert (record["run_id"], record["step_id"], record["key"]) == (run_id, "ok:1", "ok:1")
    assert record["updated_at"].endswith("Z")
    assert cli("records", "sample", "notes").stdout.splitlines()[1] == (
        'ok:0  {"note": "hi\\u001b"}'
    )
    assert "updated  20" in cli("records", "sample", "notes", "ok:1").stdout
    assert cli("records", "sample", "none").stderr == "no records in sample/none\n"


def test_records_of_a_package_by_collection(cli: CommandLine) -> None:
    cli.run("ok=2")

    assert cli.json("records", "sample") == {"notes": 2}
    assert cli("records", "sample").stdout == "COLLECTION  RECORDS\nnotes       2\n"
    assert cli("records", "twin").stderr == "no records of package 'twin'\n"


def test_show_a_step_that_depends_on_many(cli: CommandLine) -> None:
    cli("--app", WAITING, "start", "waiting:start", "--set", "many=13")

    lines = cli("show", "last", "gather").stdout.splitlines()

    start = lines.index("waits for  note:0 (ready; must succeed)")
    assert lines[start + 9].strip() == "note:9 (ready; must succeed)"
    assert lines[start + 10].strip() == "… and 3 more; see --json"
    assert len(cli.json("show", "last", "gather")["dependencies"]) == 13


def test_show_tells_what_is_met_from_what_is_waited_for(cli: CommandLine) -> None:
    cli("--app", WAITING, "start", "waiting:start", "--run-id", "r", "--set", "many=3")
    cli("hold", "r", "note:1")
    cli.work()

    text = cli("show", "r", "gather").stdout

    assert "waits for   note:1 (held; must succeed)\n" in text
    assert "depends on  note:0 (succeeded; must succeed)\n" in text
    assert "\n            note:2 (succeeded; must succeed)\n" in text


def test_an_artifact_by_run_step_and_name(cli: CommandLine) -> None:
    run_id = cli.run("files=true")

    assert cli("artifact", run_id, "files", "note.txt").stdout == "a note\n"
    assert cli("artifact", "last", "files", "raw.bin").stdout_bytes == bytes(range(256))
    assert cli.json("artifact", "last", "files", "raw.bin") == cli.json("artifacts", "last")[1]
    wrong = cli("artifact", "last", "files", "notes.txt")
    assert wrong.exit_code == 3
    assert "has no artifact 'notes.txt'; did you mean 'note.txt'?" in wrong.stderr
    for arguments in ((), ("last", "files")):
        usage = cli("artifact", *arguments)
        assert usage.exit_code == 2
        assert "give the ID of an artifact, or RUN STEP NAME" in usage.stderr


def test_artifacts(cli: CommandLine, tmp_path: Path) -> None:
    cli.run("files=true")

    note, raw = cli.json("artifacts", "last")

    assert (note["name"], note["size"], note["uri"]) == ("note.txt", 7, None)
    assert raw["name"] == "raw.bin"
    assert "note.txt" in cli("artifacts", "last", "files").stdout
    assert cli("artifact", note["id"]).stdout == "a note\n"
    assert cli("artifact", raw["id"]).stdout_bytes == bytes(range(256))
    assert cli.json("artifact", raw["id"]) == raw
    written = cli("artifact", raw["id"], "--output", "copy.bin")
    assert (written.stdout, written.stderr) == ("", "wrote 256 bytes to copy.bin\n")
    assert (tmp_path / "copy.bin").read_bytes() == bytes(range(256))


def test_a_failed_write_leaves_what_was_there(cli: CommandLine, tmp_path: Path) -> None:
    cli.run("files=true")
    (tmp_path / "taken").mkdir()

    result = cli("artifact", cli.json("artifacts", "last")[0]["id"], "-o", "taken")

    assert result.exit_code == 2
    assert result.stderr == "error: --output: cannot write 'taken': Is a directory\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".stepwell", "taken"]


def test_retry_and_cancel_are_audited(cli: CommandLine) -> None:
    run_id = cli.run("fail=1", code=1)

    retried = cli("retry", run_id, "--reason", "mended", "--by", "ada")
    assert retried.stdout == f"2 steps of run {run_id} to run again\n"
    assert retried.stderr.startswith(f"work on them with: stepwell run --resume {run_id}")
    assert cli.json("cancel", "last", "--by", "bob") == {"run_id": run_id, "steps": 2}
    assert cli.json("retry", run_id, "--step", "fail:0") == {
        "run_id": run_id,
        "step_id": "fail:0",
        "steps": 1,
    }
    assert cli("cancel", run_id).stdout == f"run {run_id} is canceled, with 1 step\n"
    acts = [event["data"] for event in cli.json("events", run_id) if event["data"].get("by")]
    assert (acts[0]["by"], acts[0]["reason"]) == ("ada", "mended")
    assert acts[1]["by"] == "bob"
    resumed = cli.sample("run", "--resume", run_id)
    assert resumed.exit_code == 6


def test_status_and_queues(cli: CommandLine) -> None:
    cli.run("ok=1")
    cli.sample("start", "sample:two")

    status = cli.json("status")
    assert status["runs"] == {"pending": 1, "succeeded": 1}
    assert status["open_steps"] == 2
    assert "runs        1 pending, 1 succeeded\n" in cli("status").stdout
    queues = {queue["name"]: queue for queue in cli.json("queues")}
    assert queues["slow"]["max_in_flight"] == 3
    assert queues["default"]["ready"] == 1
    assert queues["default"]["most_per_period"] is None
    assert "slow     0      0        3              -               -           -\n" in (
        cli("queues").stdout
    )


def test_queues_show_what_they_ask_of_workers(cli: CommandLine, tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path / 'engine.db'}", home=tmp_path) as runtime:
        runtime.define_queue(Queue("gpu", labels=("gpu", "fast"), max_per_worker=2))

    shown = cli("--store", "sqlite:///engine.db", "queues").stdout

    titles, *rows = (re.split(r"\s{2,}", line) for line in shown.splitlines())
    gpu = next(dict(zip(titles, row, strict=True)) for row in rows if row[0] == "gpu")
    assert gpu["MAX PER WORKER"] == "2"
    assert set(gpu["LABELS"].split(", ")) == {"gpu", "fast"}


def test_looking_does_not_change_the_limits_of_queues(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "narrow.py").write_text(
        "from stepwell import Package, Queue\n"
        "narrow = Package('narrow', queues=[Queue('default', max_in_flight=1)])\n"
        "@narrow.entrypoint\n"
        "def start(run): run.step('shell.run', {'argv': ['true']})\n"
    )
    cli("--app", "narrow:narrow", "start", "narrow")

    cli("list")

    (queue,) = (queue for queue in cli.json("queues") if queue["name"] == "default")
    assert queue["max_in_flight"] == 1


def test_packages(cli: CommandLine) -> None:
    result = cli.sample("packages", "--json")

    (package,) = (item for item in json.loads(result.stdout) if item["name"] == "sample")
    assert package["title"] == "The sample"
    assert package["kinds"] == ["sample.ok", "sample.fail", "sample.gate", "sample.files"]
    start, two = package["entrypoints"]
    assert start["input_schema"]["properties"]["ok"]["type"] == "integer"
    assert (two["takes_input"], two["input_schema"]) == (False, None)
    assert start["type"] == "entrypoint"
    first, *_ = package["executors"]
    assert (first["kind"], first["pool"], first["input_schema"]) == (
        "sample.ok",
        "thread",
        {"type": "string"},
    )
    assert cli.sample("packages").stdout == (
        "PACKAGE  ENTRYPOINT  TYPE        INPUT                         DESCRIPTION\n"
        "sample   start       entrypoint  ok, fail, gates, files, note  The sample\n"
        "sample   two         entrypoint                                The sample\n"
    )


def test_db(cli: CommandLine) -> None:
    assert cli("db", "upgrade").stdout.startswith("sqlite:///.stepwell/engine.db: applied 0001")
    assert cli.json("db", "upgrade")["applied"] == []
    checked = cli.json("db", "check")
    assert checked["current"] is True
    assert checked["schema_version"] == checked["latest"]
    assert "CREATE TABLE runs" in cli("db", "sql").stdout
    assert cli.json("db", "sql")["sql"].startswith("-- 0001")


def test_db_check_of_a_schema_that_is_behind(cli: CommandLine, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('schema_version', 0)")
        connection.commit()

    result = cli("--store", "sqlite:///old.db", "db", "check")

    assert result.exit_code == 8
    assert result.stderr.endswith(
        "its schema is behind; run: stepwell --store sqlite:///old.db db upgrade\n"
    )


def test_version(cli: CommandLine) -> None:
    assert cli("version").stdout.startswith("stepwell ")
    assert set(cli.json("version")) == {"version", "python"}
    assert cli("--version").stdout == cli("version").stdout
    assert cli.json("--version") == cli.json("version")


def test_memory_store_for_a_run_that_need_not_last(cli: CommandLine, tmp_path: Path) -> None:
    result = cli.sample("--store", "memory://", "run", "sample:two", "--quiet")

    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["before", "after"])
def test_shared_options_stand_before_or_after(cli: CommandLine, place: str) -> None:
    shared = ("--app", SAMPLE, "--home", "elsewhere", "--json")
    own = ("start", "sample:two", "--run-id", "r")

    result = cli(*shared, *own) if place == "before" else cli(*own, *shared)

    assert json.loads(result.stdout)["id"] == "r"
    assert cli.json("--home", "elsewhere", "show", "r")["run"]["status"] == "pending"
