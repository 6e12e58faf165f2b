"""The closed list of crash points, and the hook that is told of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from stepwell.engine.crash_points import POINTS, Point, Write, armed, is_armed, reach
from tests.architecture.product import Module, modules, report

# Calls that begin a write transaction, and an argument that says which kind it is.
BEGINS = re.compile(r"(.*database\.write(_with_others)?|self\._write|self\._act)$")
NAMED = re.compile(r"Write\.[A-Z]|kind$|_kind\(")


def writes(module: Module) -> Iterator[ast.Call]:
    """Each call with arguments that begins a write transaction."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and node.args and BEGINS.match(ast.unparse(node.func)):
            yield node


def test_the_hook_is_told_while_it_is_armed() -> None:
    told: list[str] = []

    # when
    reach(Point.SETTLED)
    with armed(told.append):
        assert is_armed()
        reach(Write.CLAIM.before_commit)
    reach(Point.SETTLED)

    # then
    assert told == ["claim: before the commit"]
    assert not is_armed()


def test_what_the_hook_raises_comes_out() -> None:
    def refuse(point: str) -> None:
        raise RuntimeError(point)

    with armed(refuse), pytest.raises(RuntimeError, match="pools were stopped"):
        reach(Point.STOPPED)


def test_the_list_has_each_point_once() -> None:
    assert len(POINTS) == len(Point) + 4 * len(Write)
    assert len(POINTS) >= 40


def test_every_point_has_a_place() -> None:
    source = "".join(module.source for module in modules())

    unplaced = [f"Point.{point.name}" for point in Point if f"Point.{point.name}" not in source]
    unplaced += [f"Write.{write.name}" for write in Write if f"Write.{write.name}" not in source]

    assert not unplaced, report("points that nothing reaches", unplaced)


def test_every_write_transaction_says_what_it_is() -> None:
    nameless = [
        f"{module.place}:{call.lineno}"
        for module in modules()
        if module.place.startswith("stores/sql/")
        for call in writes(module)
        if not any(NAMED.match(ast.unparse(argument)) for argument in call.args)
    ]

    assert not nameless, report("write transactions without crash points", nameless)
