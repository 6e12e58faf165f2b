"""The benchmark on SQLite measures what it says, at a size that takes a moment."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import census, durable, engines, fresh, growth, rows, traces, workloads
from benchmarks.engines import LOCAL, measure_one
from benchmarks.growth import Point
from benchmarks.plot import svg
from benchmarks.raw import raw_steps
from benchmarks.replay import replay, replay_diamonds, replay_singles
from benchmarks.report import PAGE, Measure, keep, table

COUNT = 50


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.mark.parametrize(("shape", "more"), [("chain", 0), ("fan", 2), ("loose", 0)])
def test_a_run_of_each_shape_is_worked_off(place: str, shape: str, more: int) -> None:
    found = workloads.graph(place, shape, COUNT)

    assert found["steps"] == COUNT + more
    assert min(found["start"], found["work"]) > 0


def test_the_statements_of_runs_beside_each_other_are_run_again_alone(place: str) -> None:
    diamonds = replay_diamonds(place, count=3, clients=2)
    singles = replay_singles(place, count=3)

    assert min(diamonds["work"], diamonds["statements"]) > 0
    assert 0 < singles["each"] < singles["work"] * 1e3


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_the_statements_of_a_run_are_run_again_alone(place: str, shape: str) -> None:
    found = replay(place, shape, COUNT)

    assert found["work"] > 0
    assert found["statements"] > 10
    assert found["statements"] > COUNT or shape == "fan"


def test_an_emitted_run_has_all_its_steps_and_a_log(place: str) -> None:
    found = workloads.emission(place, chunks=3, size=COUNT)

    assert found["steps"] == 3 * (COUNT + 1) + 1
    assert found["wal"] >= 0


@pytest.mark.parametrize("workers", [0, 1])
def test_diamonds_are_counted_to_the_last(place: str, workers: int) -> None:
    found = workloads.diamonds(place, COUNT, clients=2, workers=workers)

    assert found["steps"] == 5 * COUNT
    # The last run cannot end before it was submitted.
    assert found["work"] >= found["submitted"]


def test_diamonds_apart_are_worked_off_after_the_last_was_submitted(place: str) -> None:
    found = workloads.diamonds_apart(place, COUNT, clients=2)

    assert found["steps"] == 5 * COUNT
    assert 0 < found["held"] < found["submitted"] + found["work"]


def test_a_one_step_run_takes_milliseconds_in_this_process(place: str) -> None:
    found = workloads.latency(place, 10, elsewhere=False)

    assert 0 < found["p50"] <= found["p99"]


def test_a_one_step_run_is_done_by_another_process(place: str) -> None:
    found = workloads.latency(place, 5, elsewhere=True)

    assert 0 < found["p50"] <= found["p99"]


def test_waiting_steps_cannot_beat_the_ideal_time(place: str) -> None:
    found = workloads.waits(place, 20, seconds=0.01, concurrency=10)

    assert found["ideal"] == pytest.approx(0.02)
    assert found["work"] >= found["ideal"]


def test_the_memory_is_that_of_the_worker(place: str) -> None:
    found = workloads.ready(place, COUNT)

    assert 10 < found["worker"] < 500


def test_durable_operations_and_sleepers_are_timed(place: str) -> None:
    assert durable.operations(place, 20)["work"] > 0
    assert durable.raw_operations(place, 20)["work"] > 0
    assert durable.sleepers(place, 20, asleep=0.5)["work"] > 0


def test_the_raw_limit_grows_with_the_group(place: str) -> None:
    alone, grouped = (raw_steps(place, 500, batch)["work"] for batch in (1, 125))

    assert grouped < alone


def test_the_census_counts_the_same_files_each_way(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    for name in ("a.py", "b.py", "inner/c.py"):
        (source / name).write_text("x = 1\n")

    ours = census.ours(str(tmp_path), str(source), None, processes=1)

    assert ours["files"] == len(census.found(str(source), None)) == 3
    assert census.one_core(str(source), None)["work"] > 0
    assert census.count((str(source), "a.py"))
    assert not census.count((str(source), "none.py"))


def instance(path: Path, **tasks: tuple[float, list[str]]) -> Path:
    """A workflow file: seconds and parents of each task."""
    specification = [{"id": id, "name": id, "parents": ups} for id, (_, ups) in tasks.items()]
    execution = [{"id": id, "runtimeInSeconds": seconds} for id, (seconds, _) in tasks.items()]
    path.write_text(
        json.dumps(
            {
                "schemaVersion": "1.5",
                "workflow": {
                    "specification": {"tasks": specification},
                    "execution": {"tasks": execution},
                },
            }
        )
    )
    return path


def test_the_bound_of_a_trace_is_its_critical_path_or_its_work(tmp_path: Path) -> None:
    trace = traces.read(
        instance(tmp_path / "t.json", a=(1, []), b=(2, ["a"]), c=(4, ["a"]), d=(1, ["b", "c"]))
    )

    assert trace.bound(slots=8) == 6  # a, c, d
    assert trace.bound(slots=1) == trace.floor(slots=1) == 8
    assert trace.floor(slots=2) == 6


def test_the_longest_way_comes_first(tmp_path: Path) -> None:
    trace = traces.read(
        instance(tmp_path / "t.json", x=(1, []), y=(1, []), long=(1, []), end=(5, ["long"]))
    )

    assert trace.ranks["long"] == 0
    assert trace.floor(slots=2) == 6
    assert trace.scaled(slots=2, span=0.6).bound(slots=2) == pytest.approx(0.6)


def test_of_equal_ways_the_one_that_leaves_more_to_others_comes_first(tmp_path: Path) -> None:
    trace = traces.read(
        instance(tmp_path / "t.json", long=(5, []), short=(1, []), after=(4, ["short"]))
    )

    assert trace.ranks == {"short": 0, "long": 1, "after": 2}


def test_a_task_without_a_runtime_is_named(tmp_path: Path) -> None:
    path = instance(tmp_path / "t.json", a=(1, []))
    whole = json.loads(path.read_text())
    whole["workflow"]["execution"]["tasks"] = []
    path.write_text(json.dumps(whole))

    with pytest.raises(ValueError, match=r"t.json: task 'a' is not in both"):
        traces.read(path)


def test_a_trace_is_replayed_no_faster_than_its_floor(tmp_path: Path) -> None:
    path = instance(tmp_path / "t.json", a=(1, []), b=(1, ["a"]), c=(2, ["a"]), d=(1, ["b"]))

    found = traces.replay(str(tmp_path), str(path), slots=2, span=0.2)

    assert found["bound"] == pytest.approx(0.2)
    assert found["makespan"] >= found["floor"] >= found["bound"]


def test_a_sample_is_taken_in_a_process_of_its_own(place: str) -> None:
    found = fresh.sample("graph", place=place, shape="chain", count=5)

    assert found["steps"] == 5
    assert 10 < found["rss"] < 500


def test_every_sample_that_a_row_names_exists() -> None:
    source = Path(rows.__file__).read_text() + Path(growth.__file__).read_text()
    named = {part.partition('"')[0] for part in source.split('sample("')[1:]}
    named |= {part.partition('"')[0] for part in source.split('sample(\n            "')[1:]}

    assert named == set(fresh.SAMPLES)
    for place in fresh.SAMPLES.values():
        module, _, function = place.partition(".")
        assert callable(getattr(importlib.import_module(f"benchmarks.{module}"), function))


def test_a_ratio_decides_where_there_is_one() -> None:
    near = Measure("work", 60.0, "steps/s", goal=100.0, raw=100.0, raw_goal=0.6)
    far = Measure("work", 200.0, "steps/s", goal=100.0, raw=1_000.0, raw_goal=0.6)

    assert near.met
    assert not far.met
    assert "MISSED" not in table([near])[-1]
    assert "0.2 (≥ 0.6) MISSED" in table([far])[-1]


def test_less_is_nearer_to_its_limit_the_other_way_round() -> None:
    assert Measure("work", 4.0, "s", best="less", raw=2.0).of_raw == 0.5


def test_a_local_peer_that_is_not_installed_is_skipped_in_one_line(tmp_path: Path) -> None:
    for peer in LOCAL:
        found = measure_one(peer, str(tmp_path), 1, 0.01, tmp_path / "python")

        assert found.measures == []
        assert found.about == f"{peer.name}: skipped, not installed; run: make bench-peers"


def test_growth_is_plotted_with_a_line_for_each_curve() -> None:
    curves = {
        "chain, SQLite": [Point(100, 300.0, 60.0), Point(1_000, 280.0, 61.0)],
        "chain, <other>": [Point(100, 900.0, 60.0)],
        "nothing, SQLite": [],
    }

    drawing = ET.fromstring(svg("Growth & more", curves))

    told = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert told[0] == "Growth & more"
    assert "chain, <other>, 100 steps: 900.0 microseconds per step" in told
    assert len([text for text in told if text and text.startswith("chain, SQLite")]) == 4
    assert ET.fromstring(svg("none", {})) is not None


def test_growth_has_a_point_for_each_size(place: str) -> None:
    found = growth.growth({"SQLite": place}, repeats=1, scale=0.001)

    assert {name: [point.count for point in points] for name, points in found.items()} == {
        "fan-out/fan-in, SQLite": [12, 102],
        "chain, SQLite": [10],
        "emitted in chunks, SQLite": [12],
    }
    assert len(growth.table(found)) == 3


def test_the_program_writes_its_rows_and_says_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "new" / "found.json"
    row = rows.Row("work", lambda _: [Measure("work", 1.0, "steps/s", goal=2.0)])
    monkeypatch.setattr(program, "ROWS", (row, rows.Row("long", row.measure, long=True)))
    monkeypatch.setattr(
        "sys.argv", ["benchmarks", "--only", "o", "--folder", str(tmp_path), "--json", str(found)]
    )

    code = program.main()

    assert code == 1
    assert [row["name"] for row in json.loads(found.read_text())["rows"]] == ["work"]
    assert capsys.readouterr().err == "missed: work\n"
    assert list(tmp_path.iterdir()) == [found.parent]


def test_a_peer_can_be_named_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    monkeypatch.setattr(engines, "installed", lambda peer, python: None)
    given = ["--only", "^Huey$", "--folder", str(tmp_path), "--json", str(found)]
    monkeypatch.setattr("sys.argv", ["benchmarks", *given])

    code = program.main()

    about = json.loads(found.read_text())["about"]
    assert code == 0
    assert [line for line in about if "skipped, not installed" in line] == [
        "Huey: skipped, not installed; run: make bench-peers"
    ]
    assert "Huey: skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--only", "hian"], "no row or peer has a name like 'hian'; there are: chain of 1,000;"),
        (["--only", "Huey", "--no-peers"], "no row or peer has a name like 'Huey'"),
        (["--only", "^1,000,000"], "'1,000,000 steps' needs --long"),
        (["--only", "(chain"], "'(chain' is no regular expression"),
    ],
)
def test_a_name_that_nothing_has_is_refused(
    given: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", *given])

    with pytest.raises(SystemExit) as exit:
        program.main()

    assert exit.value.code == 2
    assert said in capsys.readouterr().err


def test_a_table_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- work: begin -->\nold\n<!-- work: end -->\nafter\n")

    keep(page, "work", ["new", "table"])

    assert page.read_text() == (
        "before\n<!-- work: begin -->\n\n```text\nnew\ntable\n```\n\n<!-- work: end -->\nafter\n"
    )
    with pytest.raises(ValueError, match=r"page.md has no comments <!-- other: begin -->"):
        keep(page, "other", [])


def test_the_page_has_a_place_for_each_table() -> None:
    text = PAGE.read_text(encoding="utf-8")

    for name in ("results", "results-postgres"):
        assert text.count(f"<!-- {name}: begin -->") == text.count(f"<!-- {name}: end -->") == 1


def test_a_folder_of_traces_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "--traces", str(tmp_path / "none")])

    with pytest.raises(SystemExit) as exit:
        program.main()

    assert exit.value.code == 2
    assert "is no folder" in capsys.readouterr().err
