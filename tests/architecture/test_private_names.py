"""The test kit uses the rooms by their public names, and by the seams that are made for it."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.product import FACE, imports, modules, report

ROOM = "testing"

# What may be used all the same, and why: by its place and its name. An entry that no longer matches
# anything fails.
ALLOWED: dict[str, str] = {}


def foreign_private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Give each private name of the product that a module takes and does not define itself.

    Those of other distributions are not looked at.
    """
    own, foreign = defined(tree), other_distributions(tree)
    for item in imports(tree):
        if item.module.partition(".")[0] == FACE and item.name and is_private(item.name):
            yield item.line, f"{item.module}.{item.name}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr) or node.attr in own:
            continue
        before = node.value
        if isinstance(before, ast.Name) and before.id in {"self", "cls", *foreign}:
            continue
        if isinstance(before, ast.Call) and ast.unparse(before.func) == "super":
            continue
        yield node.lineno, ast.unparse(node)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def defined(tree: ast.Module) -> set[str]:
    """Give the names of what a module defines: functions, classes, variables and attributes."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in {"self", "cls"}
        ):
            names.add(node.attr)
    return names


def other_distributions(tree: ast.Module) -> set[str]:
    """Give the names under which a module imports whole modules that are not of the product."""
    return {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.partition(".")[0] != FACE
    }


def test_the_test_kit_reaches_into_no_other_room() -> None:
    found = [
        (f"{module.place}:{name}", f"{module.place}:{line} {name}")
        for module in modules()
        if module.room == ROOM
        for line, name in foreign_private_names(module.tree)
    ]

    offenders = [offender for key, offender in found if key not in ALLOWED]
    stale = sorted(ALLOWED.keys() - {key for key, _ in found})
    assert not offenders, report("private names of other rooms; give them a seam", offenders)
    assert not stale, report("stale entries of the allow-list", stale)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("runtime._parts", ["runtime._parts"]),
        ("store.database._turn = lock", ["store.database._turn"]),
        ("import stepwell.stores as stores\nstores._opened", ["stores._opened"]),
        ("from stepwell.stores.opening import _dialect", ["stepwell.stores.opening._dialect"]),
        ("self._parts", []),
        ("super()._begin()", []),
        ("import sys\nsys._current_frames()", []),
        ("class Own:\n    def _work(self): ...\nowned._work()", []),
        ("class Own:\n    def __init__(self):\n        self._left = 0\nowned._left", []),
        ("task.__class__", []),
    ],
)
def test_rule_sees_what_is_not_its_own(source: str, seen: list[str]) -> None:
    assert [name for _, name in foreign_private_names(ast.parse(source))] == seen
