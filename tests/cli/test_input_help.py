"""What `start PACKAGE --help` and `run PACKAGE --help` say of the input, and where errors point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stepwell.cli.input_help import InputField, fields_of
from tests.cli.conftest import SAMPLE, CommandLine, Shell

SOURCE = '''
from typing import Any, Literal
from pydantic import BaseModel, Field
from stepwell import Package, RunBuilder

class Part(BaseModel):
    label: str
    sub: "Part | None" = None

class Order(BaseModel):
    id: str = Field(description="The number\\nof the order.")
    count: int = Field(1, description="How many.")
    level: Literal["low", "high"] = "low"
    note: str | None = None
    part: Part
    tags: list[str] = Field([], description="For lists.")
    prices: dict[str, int] = {}
    raw: Any = None

shop = Package("shop")

@shop.entrypoint(title="New order")
def order(run: RunBuilder, order: Order) -> None:
    """Take an order.

    And send it."""

@shop.entrypoint
def hello(run: RunBuilder, name: str = "you") -> None: ...

@shop.entrypoint
def nothing(run: RunBuilder) -> None: ...

@shop.entrypoint
def anything(run: RunBuilder, value: Any) -> None: ...
'''

ORDER = """\
Input of shop:order:
  New order

  Take an order.

  --set id=TEXT               The number of the order.  [required]
  --set count=INTEGER         How many.  [default: 1]
  --set level=low|high        [default: low]
  --set note=TEXT|null        [default: null]
  --set part.label=TEXT       [required]
  --set part.sub=OBJECT|null  [default: null]
  --set tags=TEXT             For lists. Repeatable.  [default: []]
  --set prices.KEY=INTEGER    [default: {}]
  --set raw=JSON              [default: null]
"""


@pytest.fixture
def app(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    # Each test has a file of its own.
    monkeypatch.delitem(sys.modules, "helpshop", raising=False)
    (tmp_path / "helpshop.py").write_text(SOURCE)
    return "helpshop.py:shop"


@pytest.mark.parametrize(
    "words",
    [
        ["--app", "APP", "start", "shop:order", "--help"],
        ["--app", "APP", "run", "--help", "shop:order"],
        ["run", "shop:order", "-h", "--app", "APP"],
        ["start", "--app", "APP", "--set", "id=1", "shop:order", "--help", "--json"],
    ],
)
def test_fields_of_an_entrypoint(cli: CommandLine, app: str, words: list[str]) -> None:
    result = cli(*(word.replace("APP", app) for word in words))

    assert (result.exit_code, result.stderr) == (0, "")
    assert ORDER in result.stdout
    assert result.stdout.startswith("Usage: stepwell ")
    assert "Options:\n" in result.stdout


def test_all_entrypoints_of_a_package(cli: CommandLine, app: str) -> None:
    said = cli("--app", app, "start", "shop", "--help").stdout

    assert ORDER in said
    assert "Input of shop:hello:\n  --input JSON  TEXT, as JSON.\n" in said
    assert "Input of shop:nothing:\n  It takes no input.\n" in said
    assert "Input of shop:anything:\n  It takes any JSON.\n" in said


def test_help_of_a_package_opens_no_store(shell: Shell) -> None:
    result = shell("--app", SAMPLE, "run", "sample:start", "--help")

    assert result.returncode == 0
    assert "--set gates=TEXT" in result.stdout
    assert list(shell.folder.iterdir()) == []


def test_errors_point_to_the_help(cli: CommandLine) -> None:
    result = cli.sample("start", "sample:start", "--set", "ok=x")

    assert result.exit_code == 2
    assert result.stderr.endswith(
        f"got 'x'; see stepwell --app {SAMPLE} start sample:start --help\n"
    )


def test_what_a_field_of_several_types_is_called() -> None:
    schema = {
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date"}]},
            "b": {"enum": ["x", None, 3]},
            "c": {"type": ["array", "null"]},
            "d": {"type": "string", "default": "é"},
            "e": {"oneOf": [{"const": 1}, {"const": "y"}]},
            "f": {"type": "array", "items": {"enum": ["p", "q"]}},
        },
        "required": ["a"],
    }

    assert list(fields_of(schema)) == [
        InputField("a", "INTEGER|DATE", "[required]"),
        InputField("b", "x|null|3", ""),
        InputField("c", "JSON", "Repeatable."),
        InputField("d", "TEXT", "[default: é]"),
        InputField("e", "1|y", ""),
        InputField("f", "p|q", "Repeatable."),
    ]
