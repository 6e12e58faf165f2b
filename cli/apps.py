"""Packages: installed ones by the entry-point group `stepwell.packages`, others by `--app`."""

from __future__ import annotations

import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from stepwell.engine.errors import InvalidPackage, StepwellError, nearest, shown
from stepwell.engine.package import Package

GROUP = "stepwell.packages"


@dataclass(frozen=True, slots=True)
class Apps:
    """The packages named by the operator, and the installed ones by the names of their entries."""

    named: tuple[Package, ...]
    installed: tuple[tuple[str, Package], ...]

    @property
    def names(self) -> list[str]:
        """The names of all packages."""
        return [package.name for package in self._all()]

    def package(self, name: str) -> Package:
        """The package with this name, which must be among `names`."""
        return next(package for package in self._all() if package.name == name)

    def _all(self) -> Iterator[Package]:
        yield from self.named
        yield from (package for _, package in self.installed)


def load_apps(specs: Sequence[str], warn: Callable[[str], None]) -> Apps:
    """Load all packages.

    If a package that the operator named cannot be loaded, raises InvalidPackage; an installed one
    is reported and left out. A named package replaces an installed one of the same name.
    """
    named: dict[int, Package] = {}
    for spec in specs:
        named |= {id(package): package for package in load_app(spec)}
    taken = {package.name for package in named.values()}
    installed = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        for package in _installed(entry, warn):
            if package.name not in taken:
                taken.add(package.name)
                installed.append((entry.name, package))
    return Apps(tuple(named.values()), tuple(installed))


def _installed(entry: EntryPoint, warn: Callable[[str], None]) -> list[Package]:
    try:
        with redirect_stdout(sys.stderr):
            return _packages(entry.load(), f"entry point {entry.value!r}")
    except (Exception, SystemExit) as error:
        warn(f"package {entry.name!r} could not be loaded: {_reason(error)}")
        return []


def load_app(spec: str) -> list[Package]:
    """The packages at `module:attribute` or `path/to/file.py:attribute`.

    Raises InvalidPackage naming the part that is wrong, with the nearest name.
    """
    place, _, attribute = spec.rpartition(":")
    where = f"--app {spec!r}"
    if not place or not attribute:
        raise InvalidPackage(
            f"{where}: must be module:attribute or path/to/file.py:attribute, such as shop:shop"
        )
    # Anything that a module prints on import goes to stderr: it is not data.
    with redirect_stdout(sys.stderr):
        module = _file(place, where) if place.endswith(".py") else _module(place, where)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            hint = nearest(attribute, _package_names(module) or _public_names(module))
            raise InvalidPackage(f"{where}: {place!r} has no attribute {attribute!r}{hint}")
        found = getattr(found, part)
    return _packages(found, where)


def _packages(found: Any, where: str) -> list[Package]:
    packages = list(found) if isinstance(found, (list, tuple)) else [found]
    for package in packages:
        if not isinstance(package, Package):
            raise InvalidPackage(
                f"{where}: must be a Package(...) or a list of them, got {shown(package)}"
            )
    return packages


def _module(name: str, where: str) -> ModuleType:
    _look_in(Path.cwd())
    try:
        return _import(name, where)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise InvalidPackage(f"{where}: importing {name!r} failed: {_reason(error)}") from None
        raise InvalidPackage(
            f"{where}: there is no module {error.name!r}{_near_module(error.name)}"
        ) from None


def _file(name: str, where: str) -> ModuleType:
    """Import a file under its own name, so that a child process can import it as well."""
    path = Path(name).resolve()
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise InvalidPackage(f"{where}: there is no file {name!r}{nearest(path.name, beside)}")
    _look_in(path.parent)
    try:
        module = _import(path.stem, where)
    except ModuleNotFoundError as error:
        reason = _reason(error)
        raise InvalidPackage(f"{where}: importing {path.stem!r} failed: {reason}") from None
    origin = getattr(module, "__file__", None)
    if origin is None or Path(origin).resolve() != path:
        raise InvalidPackage(
            f"{where}: the file has the name of another module ({origin or path.stem}); rename it"
        )
    return module


def _import(name: str, where: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidPackage(f"{where}: importing {name!r} failed: {_reason(error)}") from error


def _look_in(folder: Path) -> None:
    """Make modules of this folder importable, before all others."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _reason(error: BaseException) -> str:
    """An error raised by a package's module, in one line, with its place."""
    if isinstance(error, StepwellError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _near_module(name: str) -> str:
    parent, _, last = name.rpartition(".")
    path: Iterable[str] | None = getattr(sys.modules.get(parent), "__path__", None)
    names = [found.name for found in pkgutil.iter_modules(path)]
    hint = nearest(last, names)
    return hint if "did you mean" in hint else ""


def _package_names(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, Package)]


def _public_names(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]
