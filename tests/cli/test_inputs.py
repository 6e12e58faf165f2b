"""What `--input`, `--set` and `--metadata` make of what people type."""

from codecs import BOM_UTF8
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Self

import pytest
from pydantic import BaseModel, Field, model_validator

from stepwell.cli.inputs import RunInput, pairs
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
    assert RunInput(text, assignments).as_type(None) == value


def test_input_from_a_file_and_from_stdin(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"ok": 1}')

    cli.sample("start", "sample:start", "--input", "@input.json")
    cli.sample("start", "sample:start", "--input", "-", input='{"ok": 2}')

    assert [run["input"] for run in cli.json("list")] == [{"ok": 2}, {"ok": 1}]


def test_pairs() -> None:
    assert pairs(["a.b=1", "c=x"], "--metadata") == {"a.b": 1, "c": "x"}
    assert pairs([], "--metadata") is None


class Kind(Enum):
    ONE = "1"


class Part(BaseModel):
    label: str = ""
    size: int = 0
    tags: list[str] = []


class Order(BaseModel):
    id: str = ""
    count: int = 0
    either: int | str = 0
    note: str | None = None
    kind: Kind = Kind.ONE
    level: Literal["1", "2"] = "1"
    raw: Any = None
    when: date = date(2026, 1, 1)
    part: Part = Part()
    parts: list[Part] = []
    named: dict[str, str] = {}
    sku: str = Field("", alias="itemNumber")

    @model_validator(mode="after")
    def not_all_zero(self) -> Self:
        if self.id == "0":
            raise ValueError("zero is no id")
        return self


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("id=1", {"id": "1"}),
        ("id=007", {"id": "007"}),
        ("id=true", {"id": "true"}),
        ("id=null", {"id": "null"}),
        ("id=1.50", {"id": "1.50"}),
        ('id={"a": 1}', {"id": '{"a": 1}'}),
        ('id="1"', {"id": "1"}),
        ("id=0", {"id": "0"}),  # the text fits, whatever the model says of it
        ("count=1", {"count": 1}),
        ("count=x", {"count": "x"}),
        ("count=[1]", {"count": [1]}),  # neither fits: told as it was parsed
        ("either=1", {"either": 1}),
        ("either=1.5", {"either": "1.5"}),
        ("note=1", {"note": "1"}),
        ("note=null", {"note": None}),
        ("kind=1", {"kind": "1"}),
        ("level=2", {"level": "2"}),
        ("raw=1", {"raw": 1}),
        ("part.label=1", {"part": {"label": "1"}}),
        ("part.size=1", {"part": {"size": 1}}),
        ('part.tags=["1"]', {"part": {"tags": ["1"]}}),
        ('parts=[{"size": 1}]', {"parts": [{"size": 1}]}),
        ("named.port=8080", {"named": {"port": "8080"}}),
        ("itemNumber=12", {"itemNumber": "12"}),
        ("unknown=1", {"unknown": 1}),
    ],
)
def test_a_text_is_taken_where_json_does_not_fit(assignment: str, value: Any) -> None:
    assert RunInput(None, [assignment]).as_type(Order) == value


def test_fields_are_settled_apart_and_given_input_is_left_alone() -> None:
    given = RunInput('{"id": "x", "part": {"size": 3}}', ["id=1", "part.label=2", "count=4"])

    assert given.as_type(Order) == {"id": "1", "part": {"size": 3, "label": "2"}, "count": 4}


def test_a_text_field_of_a_run(cli: CommandLine) -> None:
    cli.sample("start", "sample:start", "--set", "note=1", "--set", "ok=1")

    (run,) = cli.json("list")
    assert run["input"] == {"note": "1", "ok": 1}


def test_a_workflow_that_takes_a_typed_dict(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "typedshop.py").write_text(
        "from typing_extensions import TypedDict\n"
        "from stepwell import Package\n"
        "class Order(TypedDict):\n    id: str\n    count: int\n"
        "shop = Package('shop')\n"
        "@shop.workflow\ndef order(order: Order) -> str:\n    return repr(order)\n"
    )

    done = cli(
        "--app", "typedshop.py:shop", "run", "shop", "--set", "id=1", "--set", "count=2", "-q"
    )

    assert done.stdout == "order: {'id': '1', 'count': 2}\n"


@pytest.mark.parametrize("marked", [b"", BOM_UTF8])
def test_a_file_may_begin_with_a_byte_order_mark(
    cli: CommandLine, tmp_path: Path, marked: bytes
) -> None:
    (tmp_path / "input.json").write_bytes(marked + b'{"ok": 1}')
    cli.sample("start", "sample:start", "--input", "@input.json", "--run-id", "r")
    cli("kv", "set", "key", "@input.json")

    assert cli.json("show", "r")["run"]["input"] == {"ok": 1}
    assert cli.json("kv", "get", "key")["value"] == {"ok": 1}
