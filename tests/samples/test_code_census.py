"""The census, run for real on a small folder whose numbers are known."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from code_census import census
from code_census.__main__ import main

from stepwell import InvalidInput, Runtime, connect
from tests.samples.trees import EXPECTED, FAILED, NAMES, make_tree

SAMPLE = Path(__file__).parents[2] / "samples" / "code_census"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """The home of two ended censuses of the folder, first and second."""
    home = tmp_path_factory.mktemp("home")
    for run_id in ("first", "second"):
        run_census(home, run_id, folder=str(folder))
    return home


@pytest.fixture
def runtime(home: Path) -> Iterator[Runtime]:
    with connect(home=home, packages=[census]) as runtime:
        yield runtime


def run_census(home: Path, run_id: str, **plan: Any) -> None:
    with connect(home=home, packages=[census]) as runtime:
        run = runtime.start_run("code_census", plan, run_id=run_id)
        runtime.drain(run.id, timeout=60)


def counted(runtime: Runtime, run_id: str) -> dict[str, tuple[int, ...]]:
    rows = runtime.projection("code_census").query(
        "SELECT * FROM files WHERE run_id = ?", (run_id,)
    )
    return {row["path"]: tuple(row[name] for name in NAMES) for row in rows}


def failed(runtime: Runtime, run_id: str) -> dict[str, str]:
    rows = runtime.projection("code_census").query(
        "SELECT * FROM failures WHERE run_id = ?", (run_id,)
    )
    return {row["path"]: row["code"] for row in rows}


def report(runtime: Runtime, run_id: str) -> str:
    (artifact,) = runtime.artifacts(run_id, "report")
    assert (artifact.name, artifact.content_type) == ("report.html", "text/html; charset=utf-8")
    with closing(runtime.open_artifact(artifact.id)) as stream:
        return stream.read().decode()


def test_every_file_is_a_step_and_those_that_do_not_parse_sink_nothing(runtime: Runtime) -> None:
    steps = {step.id: step for step in runtime.steps("first")}

    assert runtime.run("first").status == "succeeded"
    assert {id for id in steps if id.startswith("file:")} == {
        f"file:{path}" for path in EXPECTED.keys() | FAILED
    }
    assert {id for id, step in steps.items() if step.status == "failed"} == {
        f"file:{path}" for path in FAILED
    }
    assert steps["file:pkg/inner/deep/down.py"].parent == "scan:pkg/inner/deep"
    assert {id for id in steps if id.startswith("scan:")} == {
        *("scan:", "scan:pkg", "scan:pkg/inner", "scan:pkg/inner/deep")
    }


def test_the_projection_has_what_a_person_counts(runtime: Runtime) -> None:
    assert counted(runtime, "first") == EXPECTED
    assert failed(runtime, "first") == dict.fromkeys(FAILED, "syntax_error")


def test_a_second_census_in_the_same_home_stands_beside_the_first(runtime: Runtime) -> None:
    assert counted(runtime, "second") == counted(runtime, "first")
    assert failed(runtime, "second") == failed(runtime, "first")
    assert {total["run"] for total in runtime.records("code_census", "packages").values()} == {
        "second"
    }


def test_the_totals_of_packages_are_records(runtime: Runtime) -> None:
    in_pkg = [counts for path, counts in EXPECTED.items() if path.startswith("pkg/")]

    records = runtime.records("code_census", "packages")

    assert records.keys() == {*("bom", "empty", "latin", "pkg", "plain")}
    assert records["pkg"] == {
        "run": "second",
        "files": len(in_pkg),
        **{
            name: sum(counts[NAMES.index(name)] for counts in in_pkg)
            for name in ("lines", "code", "functions", "classes")
        },
    }


def test_the_result_of_the_report_sums_up(runtime: Runtime, folder: Path) -> None:
    summary = runtime.result("first", "report").value

    assert summary.pop("seconds") > 0
    assert summary == {
        "folder": str(folder),
        "files": len(EXPECTED),
        "failures": len(FAILED),
        "packages": 5,
        "report": "report.html",
        **{
            name: sum(counts[NAMES.index(name)] for counts in EXPECTED.values())
            for name in ("lines", "code", "functions", "classes")
        },
    }


def test_the_report_shows_all_of_it_and_nothing_from_elsewhere(runtime: Runtime) -> None:
    page = report(runtime, "first")

    assert page.startswith("<!doctype html>")
    assert page.count("<svg role=") == 2
    assert "pkg/&lt;i&gt;odd &amp; ends.py" in page
    assert "<i>" not in page
    assert "pkg/naïve 名前.py" in page
    assert all(f">{path}</th><td>syntax_error</td>" in page for path in FAILED)
    assert not any(word in page for word in ("<script", "http:", "https:", "src=", "url("))
    for figure in (f"<dd>{len(EXPECTED)}</dd>", "<dd>38</dd>", "prefers-color-scheme: dark"):
        assert figure in page


def test_a_folder_that_changes_under_the_census_costs_only_what_is_gone(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "tree")
    with connect(home=tmp_path / "home", packages=[census]) as runtime:
        run = runtime.start_run("code_census", {"folder": str(folder)})
        runtime.run_once()  # the scan of the folder itself
        shutil.rmtree(folder / "pkg")
        (folder / "plain.py").unlink()

        runtime.drain(run.id, timeout=60)

        assert runtime.run(run.id).status == "succeeded"
        assert counted(runtime, run.id).keys() == {"bom.py", "empty.py", "latin.py"}
        assert failed(runtime, run.id) == {
            "broken.py": "syntax_error",
            "pkg": "unreadable",
            "plain.py": "unreadable",
        }


def test_a_folder_that_is_gone_fails_the_run(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "tree")
    with connect(home=tmp_path / "home", packages=[census]) as runtime:
        run = runtime.start_run("code_census", {"folder": str(folder)})
        shutil.rmtree(folder)

        runtime.drain(run.id, timeout=60)

        assert runtime.run(run.id).status == "failed"
        error = runtime.result(run.id, "scan:").error
        assert error is not None
        assert (error.code, error.message) == ("unreadable", "No such file or directory")


def test_a_name_that_is_no_text_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/odd\xff.py")).write_text("x = 1\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")

    run_census(tmp_path / "home", "r", folder=str(folder))

    with connect(home=tmp_path / "home", packages=[census]) as runtime:
        assert failed(runtime, "r") == {r"odd\udcff.py": "file_name"}


def test_the_limit_takes_the_first_files_and_the_pattern_chooses(
    tmp_path: Path, folder: Path
) -> None:
    home = tmp_path / "home"

    run_census(home, "limited", folder=str(folder), limit=7)
    run_census(home, "chosen", folder=str(folder), pattern="inner/*/*.py")

    with connect(home=home, packages=[census]) as runtime:
        taken = counted(runtime, "limited").keys() | failed(runtime, "limited").keys()
        here = {path for path in EXPECTED.keys() | FAILED if "/" not in path}
        assert taken == here | {"pkg/<i>odd & ends.py", "pkg/__init__.py"}
        assert counted(runtime, "chosen").keys() == {"pkg/inner/deep/down.py"}


@pytest.mark.parametrize("names", [[], ["empty.py"]], ids=["no file", "an empty file"])
def test_a_census_of_nothing_has_a_report(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "tree").mkdir()
    for name in names:
        (tmp_path / "tree" / name).touch()

    run_census(tmp_path / "home", "r", folder=str(tmp_path / "tree"))

    with connect(home=tmp_path / "home", packages=[census]) as runtime:
        assert "Every file was counted." in report(runtime, "r")


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"folder": "no/such/folder"}, "input.folder"),
        ({"foldr": "."}, "input.foldr"),
        ({"limit": 0}, "input.limit"),
        ("here", "input"),
    ],
)
def test_a_wrong_input_is_refused_by_name(plan: Any, field: str) -> None:
    with connect("memory://", packages=[census]) as runtime:
        with pytest.raises(InvalidInput, match=f"^{field}: "):
            runtime.start_run("code_census", plan)

        assert runtime.runs() == []


KILLED_WORKER = """
import os, signal, sys
from stepwell import connect
from code_census import census

home, folder = sys.argv[1:]
done = []

def die(event):
    if event.type == "step.succeeded" and event.step_id.startswith("file:"):
        done.append(event.step_id)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    with connect(home=home, packages=[census], settings={"lease": 1.0}) as runtime:
        runtime.observe(die)
        runtime.start_run("code_census", {"folder": folder}, run_id="killed")
        runtime.drain("killed", timeout=60)
"""


def test_a_killed_census_goes_on_to_the_same_end(
    tmp_path: Path, folder: Path, runtime: Runtime
) -> None:
    home, script = tmp_path / "home", tmp_path / "killed.py"
    script.write_text(KILLED_WORKER)
    environment = {**os.environ, "PYTHONPATH": str(SAMPLE)}
    ended = subprocess.run(
        [sys.executable, script, home, folder], env=environment, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL

    with connect(home=home, packages=[census], settings={"lease": 1.0}) as resumed:
        assert resumed.run("killed").status == "running"
        resumed.drain("killed", timeout=60)

        assert resumed.run("killed").status == "succeeded"
        assert counted(resumed, "killed") == counted(runtime, "first") == EXPECTED
        assert failed(resumed, "killed") == failed(runtime, "first")
        wanted = runtime.result("first", "report").value
        got = resumed.result("killed", "report").value
        assert {**got, "seconds": 0} == {**wanted, "seconds": 0}
        ends = [event for event in resumed.events("killed") if event.type == "step.succeeded"]
        assert len({event.step_id for event in ends}) == len(ends)


def test_the_summary_tells_what_was_found_and_where_it_is(
    home: Path, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", "--home", str(home)]) == 0

    text = capsys.readouterr().out
    assert "8 files, 38 lines (22 of code, 9 of comments and docstrings)," in text
    assert "Slowest files\n" in text
    assert "Not counted: 2\n  broken.py\n    syntax_error: line 1: invalid syntax" in text
    places = [home / "code_census.html", home / "engine.db", home / "projections/code_census.db"]
    assert [line.split("  ")[-1].strip() for line in text.splitlines()[-3:]] == [
        str(place) for place in places
    ]
    assert all(place.is_file() for place in places)
    assert places[0].read_text("utf-8") == report(runtime, "second")


def test_the_summary_of_an_earlier_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(home), "--run", "first"]) == 0
    assert main(["--home", str(home), "--run", "frist"]) == 3

    assert "'frist'" in capsys.readouterr().err


def test_without_a_census_the_summary_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(home=tmp_path / "empty", packages=[census]):
        pass

    codes = [main(["--home", str(tmp_path / name)]) for name in ("none", "empty")]

    assert codes == [3, 3]
    assert capsys.readouterr().err.splitlines() == [
        f"error: there is no census in {tmp_path / name}; "
        f"run one with: stepwell --home {tmp_path / name} run code_census"
        for name in ("none", "empty")
    ]
    assert not (tmp_path / "none").exists()


def test_the_summary_of_an_open_run_says_how_to_end_it(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(home=tmp_path, packages=[census]) as runtime:
        runtime.start_run("code_census", {"folder": str(folder)}, run_id="open")

    assert main(["--home", str(tmp_path)]) == 1

    text = capsys.readouterr().out
    assert text.startswith("run open is pending: 3 of its 3 steps are open")
    assert f"stepwell --home {tmp_path} run --resume open" in text


def test_the_package_is_found_by_its_entry_point() -> None:
    project = tomllib.loads((SAMPLE / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["stepwell.packages"]["code_census"].partition(":")

    assert getattr(import_module(module), name) is census
