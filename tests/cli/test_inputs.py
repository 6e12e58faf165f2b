"""What `--input`, `--set` and `--metadata` make of what people type."""

from pathlib import Path
from typing import Any

import pytest

from stepwell.cli.inputs import pairs, run_input
from tests.cli.conftest import CommandLine


@pytest.mark.parametrize(
    ("text", "assignments", "value"),
    [
        (None, [], None),
        ("3", [], 3),
        (None, ["a=1"], {"a": 1}),
        (None, ["a.b=1", "a.c=x y", 'd=["e"]'], {"a": {"b": 1, "c": "x y"}, "d": ["e"]}),
        ('{"a": {"b": 1}, "z": 0}', ["a.b=2", "a.c=3"], {"a": {"b": 2, "c": 3}, "z": 0}),
        (None, ["a=NaN", "b=", "c==", "d=null"], {"a": "NaN", "b": "", "c": "=", "d": None}),
        (None, ['a={"x":1,"x":2}'], {"a": '{"x":1,"x":2}'}),
    ],
)
def test_input(text: str | None, assignments: list[str], value: Any) -> None:
    assert run_input(text, assignments) == value


def test_input_from_a_file_and_from_stdin(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"ok": 1}')

    cli.yard("start", "yard:start", "--input", "@input.json")
    cli.yard("start", "yard:start", "--input", "-", input='{"ok": 2}')

    assert [run["input"] for run in cli.json("list")] == [{"ok": 2}, {"ok": 1}]


def test_pairs() -> None:
    assert pairs(["a.b=1", "c=x"], "--metadata") == {"a.b": 1, "c": "x"}
    assert pairs([], "--metadata") is None
