"""The reference pages say what the code says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.engine.events import DESCRIPTIONS, EventType
from tests.docs.pages import ROOT, name_of
from tests.docs.reference import REFERENCE, TABLES, renewed, tables_of

PAGES = sorted(REFERENCE.glob("*.md"))
OPERATING = ROOT / "docs" / "operating.md"
FAILURES = {"StepError": 0, "Retryable": 0, "Permanent": 0, "Failure": 0, "RetryAfter": 1}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text("utf-8")

    assert text == renewed(text), "write them anew: python -m tests.docs.reference"


def test_every_table_is_on_one_page() -> None:
    shown = [name for page in PAGES for name in tables_of(page.read_text("utf-8"))]

    assert sorted(shown) == sorted(TABLES)


def test_every_event_is_described() -> None:
    assert set(DESCRIPTIONS) == set(EventType)


def test_every_failure_code_of_ours_is_explained() -> None:
    text = OPERATING.read_text("utf-8")

    missing = sorted({code for code in failure_codes() if f"| `{code}` |" not in text})

    assert missing == []


def failure_codes() -> Iterator[str]:
    """The codes that steps can fail with by our own doing, as they stand in the code."""
    yield from ("upstream_failed", "branch_not_taken", "child_failed", "child_canceled")
    for room in ("engine", "stores", "executors"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    position = FAILURES.get(node.func.id, len(node.args))
                    yield from _text(node.args[position : position + 1])
                elif isinstance(node, ast.Dict):
                    for key, value in zip(node.keys, node.values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == "code":
                            yield from _text([value])


def _text(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
