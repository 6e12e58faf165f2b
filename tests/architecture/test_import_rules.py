"""Who may import whom: proved with import-linter, and again by reading every import."""

import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import entry_points
from itertools import pairwise

import pytest

from tests.architecture.product import FACE, ROOT, Import, Module, imports, modules, report, rooms

ENGINE_MAY_IMPORT = {"pydantic", "pydantic_core", "annotated_types", "networkx", "tenacity"}

# What a room may import of the product, besides itself. `stepwell` is every module of the face.
MAY_IMPORT = {
    "engine": set[str](),
    "stores": {"engine"},
    "executors": {"engine"},
    "stepwell": {"engine", "stores", "executors"},
    "testing": {"engine", "stores", "executors", "stepwell"},
    "cli": {"engine", "stores", "executors", "stepwell"},
}

# The one door from the face to the command line.
ENTRY = f"{FACE}.__main__"


def room_of(name: str) -> str:
    """Give the room of a dotted name below `stepwell`."""
    room = ".".join(name.split(".")[:2])
    return room.removeprefix(f"{FACE}.") if room in rooms() else FACE


def targets(module: Module) -> list[tuple[Import, str]]:
    """Give each import of the product with the module it reaches."""
    names = {module.name for module in modules()}
    found: list[tuple[Import, str]] = []
    for item in imports(module.tree):
        if item.level or item.module.partition(".")[0] != FACE:
            continue
        whole = f"{item.module}.{item.name}"
        is_module = item.name is not None and (whole in names or whole in rooms())
        found.append((item, whole if is_module else item.module))
    return found


def test_import_linter_keeps_its_contracts() -> None:
    links = ROOT / ".link"
    if not links.is_dir():
        pytest.fail("there is no .link folder: run `make setup`")
    (script,) = entry_points(group="console_scripts", name="lint-imports")
    program = f"from {script.module} import {script.attr} as main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(links), "PYTHONIOENCODING": "utf-8"}

    lint = subprocess.run(
        command, cwd=links, env=environment, capture_output=True, text=True, check=False
    )

    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_no_import_cycle() -> None:
    graph = {
        module.name: {target for _, target in targets(module) if target != module.name}
        for module in modules()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib names a cycle from the imported module to its importer.
        steps = [f"{importer} imports {target}" for target, importer in pairwise(error.args[1])]
        pytest.fail(report("import cycle", steps))


def test_rooms_import_only_the_rooms_below_them() -> None:
    offenders = [
        f"{module.place}:{item.line} imports {target}"
        for module in modules()
        for item, target in targets(module)
        if (room := room_of(target)) != module.room
        and room not in MAY_IMPORT[module.room]
        and not (module.name == ENTRY and room == "cli")
    ]

    assert not offenders, report("imports across rooms", offenders)


def test_engine_imports_few_libraries() -> None:
    allowed = ENGINE_MAY_IMPORT | sys.stdlib_module_names | {FACE}
    offenders = [
        f"{module.place}:{item.line} imports {item.module}"
        for module in modules()
        if module.room == "engine"
        for item in imports(module.tree)
        if item.level == 0 and item.module.partition(".")[0] not in allowed
    ]

    assert not offenders, report("libraries the engine does without", offenders)


def test_imports_are_absolute() -> None:
    folders = {folder.name for name, folder in rooms().items() if name != FACE}
    offenders = [
        f"{module.place}:{item.line} imports {'.' * item.level}{item.module}"
        for module in modules()
        for item in imports(module.tree)
        if item.level or item.module.partition(".")[0] in folders
    ]

    assert not offenders, report("write these as stepwell.<room>", offenders)


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {module.path.parent for module in modules()} - {ROOT}
    offenders = sorted(
        str(folder.relative_to(ROOT))
        for folder in folders
        if not (folder / "__init__.py").is_file()
    )

    assert not offenders, report("no __init__.py, so left out of a built package", offenders)
