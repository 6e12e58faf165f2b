"""The product's modules as text and syntax trees, for the tests that hold its architecture."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FACE = "stepwell"


@dataclass(frozen=True)
class Module:
    """One source file of the product, under the name it is imported by."""

    name: str
    path: Path

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, filename=str(self.path))

    @property
    def room(self) -> str:
        """The room's folder: `engine`, `stores`, … or `stepwell` for the face."""
        return self.path.relative_to(ROOT).parts[0]

    @property
    def place(self) -> str:
        """The path from the repository's top, as messages and allow-lists write it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


def rooms() -> dict[str, Path]:
    """Give each room's import name and folder, from pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders: dict[str, str] = settings["tool"]["setuptools"]["package-dir"]
    return {name: ROOT / folder for name, folder in folders.items()}


@cache
def modules() -> tuple[Module, ...]:
    """Give every module of every room, sorted by name."""
    found = [
        Module(_name(room, path.relative_to(folder)), path)
        for room, folder in rooms().items()
        for path in folder.rglob("*.py")
    ]
    return tuple(sorted(found, key=lambda module: module.name))


def _name(room: str, path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join((room, *(part for part in parts if part != "__init__")))


@dataclass(frozen=True)
class Import:
    """One import statement's target: `module`, and the name taken from it, if any."""

    module: str
    name: str | None
    level: int
    line: int


def imports(tree: ast.Module) -> Iterator[Import]:
    """Give every import of a module, also in functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, 0, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.module or "", alias.name, node.level, node.lineno)


@dataclass(frozen=True)
class Use:
    """A place where an imported or builtin name is used, by its full dotted name."""

    name: str
    line: int
    called: bool


def uses(tree: ast.Module) -> Iterator[Use]:
    """Give each use of a global name, aliases resolved: `dt.now` is `datetime.datetime.now`."""
    known = _aliases(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if id(node) not in inner and isinstance(node, ast.Name | ast.Attribute):
            parts = _dotted(node)
            if parts is not None:
                name = ".".join((known.get(parts[0], parts[0]), *parts[1:]))
                yield Use(name, node.lineno, id(node) in called)


def _aliases(tree: ast.Module) -> dict[str, str]:
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return known


def _dotted(node: ast.expr) -> tuple[str, ...] | None:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else (*before, node.attr)
    return None


def report(title: str, offenders: list[str]) -> str:
    """Write an assertion message that lists every offender on a line of its own."""
    return "\n  ".join([f"{title}:", *offenders])
