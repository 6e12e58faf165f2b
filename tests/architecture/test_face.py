"""The face: each public name is loaded from where type checkers see it."""

from __future__ import annotations

import ast
import subprocess
import sys

import stepwell
from tests.architecture.product import ROOT


def seen_by_type_checkers() -> dict[str, str]:
    """Where each name is imported from, as `_PLACES` writes it."""
    tree = ast.parse((ROOT / "stepwell" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        for name in node.names:
            called = f":{name.name}" if name.asname else ""
            found[name.asname or name.name] = node.module.removeprefix("stepwell.") + called
    return found


def test_names_are_loaded_from_where_type_checkers_see_them() -> None:
    assert seen_by_type_checkers() == stepwell._PLACES


def test_all_public_names_are_there() -> None:
    assert {*stepwell.__all__} == {*stepwell._PLACES, "__version__"}
    assert [name for name in stepwell.__all__ if not hasattr(stepwell, name)] == []


def test_nothing_else_is_loaded_for_the_name_of_the_package() -> None:
    program = "import stepwell, sys; print(*[m for m in sys.modules if m.startswith('stepwell.')])"

    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.split() == ["stepwell.clone", "stepwell.defaults"]
