"""What `--input`, `--set` and `--metadata` make of what people type."""

from codecs import BOM_UTF8
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pytest
from pydantic import AliasChoices, BaseModel, Field, model_validator

from stepwell.cli.inputs import RunInput, pairs
from stepwell.engine.errors import InvalidInput
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
    fast: bool = False
    weight: float = 0.0
    numbers: list[int] | None = None
    one_or_many: str | list[str] = ""
    many_or_one: int | list[str] = 0
    sku: str = Field("", alias="itemNumber")
    age: str = Field("", validation_alias=AliasChoices("new", "old"))

    @model_validator(mode="after")
    def not_all_zero(self) -> Self:
        if self.id == "0":
            raise ValueError("zero is no id")
        return self


class Size(BaseModel):
    size: Literal["small", "large"] = "small"
    sizes: list[Literal["small", "large"]] = []


class Loose(BaseModel):
    """Reads a field that its schema does not name."""

    id: str = ""

    @model_validator(mode="before")
    @classmethod
    def take(cls, given: Any) -> Any:
        return {"id": str(given["more"])} if "more" in given else given


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
        ("count=007", {"count": 7}),
        ("either=007", {"either": "007"}),
        ("fast=yes", {"fast": True}),
        ("fast=0", {"fast": False}),
        ("fast=maybe", {"fast": "maybe"}),
        ("weight=.5", {"weight": 0.5}),
        ("weight=nan", {"weight": "nan"}),
        ("part.tags=1", {"part": {"tags": ["1"]}}),
        ("part.tags=", {"part": {"tags": [""]}}),
        ("numbers=1", {"numbers": [1]}),
        ("numbers=[1, 2]", {"numbers": [1, 2]}),
        ("numbers=null", {"numbers": None}),
        ("one_or_many=1", {"one_or_many": "1"}),
        ("many_or_one=x", {"many_or_one": ["x"]}),
        ("sku=12", {"sku": "12"}),
        ("old=12", {"old": "12"}),
    ],
)
def test_a_text_is_taken_where_json_does_not_fit(assignment: str, value: Any) -> None:
    assert RunInput(None, [assignment]).as_type(Order) == value


@pytest.mark.parametrize(
    ("assignments", "value"),
    [
        (["part.tags=1", "part.tags=x"], {"part": {"tags": ["1", "x"]}}),
        (["numbers=1", "numbers=02"], {"numbers": [1, 2]}),
        (["parts={}", 'parts={"size": 3}'], {"parts": [{}, {"size": 3}]}),
        (["one_or_many=1", "one_or_many=[2]"], {"one_or_many": ["1", "[2]"]}),
    ],
)
def test_a_field_set_several_times_is_a_list(assignments: list[str], value: Any) -> None:
    assert RunInput(None, assignments).as_type(Order) == value


class Strict(BaseModel, extra="forbid"):
    id: str
    size: int = 0


class Open(BaseModel, extra="allow"):
    id: str = ""


@pytest.mark.parametrize(
    ("declared", "assignments", "message"),
    [
        (Order, ["idd=1"], "input.idd: there is no such field; did you mean 'id'?"),
        (
            Order,
            ["part.lable=1"],
            "input.part.lable: there is no such field; did you mean 'label'?",
        ),
        (Order, ["count.a=1"], "input.count.a: there is no such field; input.count is of type int"),
        (Order, ["idd=1", "idd=2"], "input.idd: there is no such field; did you mean 'id'?"),
        (Order, ["idd=1", "count=x"], "input.idd: there is no such field; did you mean 'id'?"),
        (Strict, ["id=1", "sise=1"], "input.sise: there is no such field; did you mean 'size'?"),
        (Strict, ["idd=1"], "input.idd: there is no such field; did you mean 'id'?"),
        (str, ["a=1"], "input.a: there is no such field; input is of type string"),
        (Order, ["count=1", "count=2"], "input.count: is set 2 times, but is of type integer; set"),
        (Order, ["raw=1", "raw=2"], "input.raw: is set 2 times, but is not known to take a list;"),
        (None, ["a=1", "a=2"], "input.a: is set 2 times, but is not known to take a list; set it"),
        (Order, ["level=3"], "input.level: must be one of '1', '2', got 3"),
        (Size, ["size=smal"], "input.size: must be one of 'small', 'large', got 'smal'; did you m"),
        (Size, ["size=medium"], "input.size: must be one of 'small', 'large', got 'medium'"),
        (Size, ["sizes=small", "sizes=larg"], "input.sizes: must be one of 'small', 'large', got "),
    ],
    ids=lambda value: None,
)
def test_what_no_field_takes(declared: Any, assignments: list[str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RunInput(None, assignments).as_type(declared)

    assert str(caught.value).startswith(message)


def test_fields_that_no_schema_names() -> None:
    assert RunInput(None, ["more=1"]).as_type(Open) == {"more": 1}
    assert RunInput(None, ["more=1"]).as_type(dict[str, str]) == {"more": "1"}
    assert RunInput(None, ["more=1"]).as_type(Loose) == {"more": 1}
    # An input that was given is the caller's own.
    assert RunInput('{"idd": 1}', ["id=1"]).as_type(Order) == {"idd": 1, "id": "1"}


class TestSchemaByHand:
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "days": {"type": "array", "items": {"type": "integer"}},
            "mode": {"enum": ["fast", "slow"]},
            "note": {"type": ["string", "null"]},
            "part": {"$ref": "#/$defs/part"},
        },
        "additionalProperties": False,
        "$defs": {"part": {"type": "object", "properties": {"id": {"type": "string"}}}},
    }

    @pytest.mark.parametrize("declared", [None, dict, dict[str, Any]])
    def test_says_what_is_taken(self, declared: Any) -> None:
        given = RunInput(None, ["days=1", "days=2", "mode=slow", "note=7", "part.id=8"])

        assert given.as_type(declared, self.schema) == {
            "days": [1, 2],
            "mode": "slow",
            "note": "7",
            "part": {"id": "8"},
        }
        assert RunInput(None, ["note=null"]).as_type(declared, self.schema) == {"note": None}

    @pytest.mark.parametrize(
        ("assignment", "message"),
        [
            (
                "mode=fats",
                "input.mode: must be one of 'fast', 'slow', got 'fats'; did you mean 'fa",
            ),
            ("dais=1", "input.dais: there is no such field; did you mean 'days'?"),
        ],
    )
    def test_says_what_is_refused(self, assignment: str, message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            RunInput(None, [assignment]).as_type(dict, self.schema)

        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        "schema",
        [
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
            {"$ref": "elsewhere.json"},
            {"$ref": "#/nowhere/at/all"},
            {"allOf": [{"type": "object"}]},
            {"allOf": [True]},
            {"anyOf": [True, {"type": "string"}]},
            {"properties": {"a": True}},
        ],
    )
    def test_that_says_little_takes_all(self, schema: dict[str, Any]) -> None:
        assert RunInput(None, ["a=1"]).as_type(None, schema) == {"a": 1}

    def test_with_choices_beside_its_fields(self) -> None:
        schema = {
            "type": "object",
            "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
            "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
        }

        assert RunInput(None, ["id=1"]).as_type(None, schema) == {"id": "1"}


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
