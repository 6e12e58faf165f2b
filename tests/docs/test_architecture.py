"""The page of the architecture names folders, files, classes and functions that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.product import ROOT, modules

PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
_HEADING = re.compile(r"^#+ ", re.MULTILINE)
_ITEM = re.compile(r"^\d+\. ((?:.+\n)(?: {3}.+\n)*)", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_FOLDER = re.compile(r"`((?:engine|stores|executors|stepwell|testing|cli)/[^`]*)`")
WALKS = (
    "From a run's input to its rows",
    "From an outcome to its commit",
    "From a cancel to the body",
    "From a message to a waiting step",
    "A claim",
)


def section(title: str) -> str:
    """What stands below a heading, down to the next one."""
    _, found, rest = PAGE.partition(f"# {title}\n")
    assert found, f"there is no section {title!r}"
    heading = _HEADING.search(rest)
    return rest[: heading.start()] if heading else rest


@cache
def defined(file: Path) -> frozenset[str]:
    """Classes, functions and methods that a module defines, as the page names them."""
    names: set[str] = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {node.name, *(f"{node.name}.{name}" for name in _functions(node.body))}
        names |= _functions([node])
    return frozenset(names)


def _functions(body: list[ast.stmt]) -> set[str]:
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def folders() -> set[str]:
    """The folders with modules in the rooms."""
    return {module.path.parent.relative_to(ROOT).as_posix() for module in modules()}


def test_the_table_has_each_folder_of_each_room() -> None:
    listed = re.findall(r"^\| `([^`]+)/` \|", section("Rooms and wings"), re.MULTILINE)

    assert sorted(listed) == sorted(folders())


@pytest.mark.parametrize("walk", WALKS)
def test_each_line_of_a_walk_names_a_file_and_what_it_defines(walk: str) -> None:
    items = _ITEM.findall(section(walk))

    assert len(items) >= 5
    for item in items:
        place, *names = _CODE.findall(item)
        assert names, f"{place}: no name of it takes part"
        assert (ROOT / place).is_file(), place
        unknown = [name for name in names if name not in defined(ROOT / place)]
        assert not unknown, f"{place} does not define {unknown}"


def test_folders_of_what_is_to_come_are_there() -> None:
    named = _FOLDER.findall(section("Where does it go?"))

    assert len(named) > 6
    assert [place for place in named if not (ROOT / place).parent.is_dir()] == []
    assert section("Where does it go?").count("\n| ") == 7  # six answers below a heading
