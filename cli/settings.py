"""Settings from four places: flag, then `STEPWELL_…` variable, then file, then default.

The file is the first found from the working folder upwards: `stepwell.toml`, or a
`pyproject.toml` with a table `[tool.stepwell]`. Relative paths in it start at its folder.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stepwell.engine.errors import InvalidSettings, nearest, shown
from stepwell.engine.settings import Settings

PREFIX = "STEPWELL_"
# Where things are kept: each is a URL of `connect()`.
URLS = ("store", "artifacts", "projections", "checkpoints")
PLACES = (*URLS, "home", "app")
ENGINE = tuple(field.name for field in fields_of(Settings))
NAMES = (*PLACES, *ENGINE)
# Variables that other modules of this room read.
OTHER_VARIABLES = ("STEPWELL_DEBUG",)

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration of a command. None means the default of `connect()`.

    `file` is the one that was read, if any; `sources` says where each given setting comes from.
    """

    store: str | None
    artifacts: str | None
    projections: str | None
    checkpoints: str | None
    home: str | None
    app: tuple[str, ...]
    engine: Settings
    file: Path | None
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and the name of its source for messages."""

    value: Any
    source: str


def configure(flags: Mapping[str, Any], warn: Warn) -> Configuration:
    """The effective settings. Raises InvalidSettings naming the setting and its source."""
    file, in_file = _from_file(Path.cwd(), warn)
    given = {**in_file, **_from_environment(os.environ, warn), **_from_flags(flags)}
    return Configuration(
        **{name: _text(given.get(name)) for name in URLS},
        home=_text(given.get("home")),
        app=_texts(given.get("app")),
        engine=_engine(given),
        file=file,
        sources={name: each.source for name, each in given.items()},
    )


def _from_flags(flags: Mapping[str, Any]) -> dict[str, _Given]:
    return {
        name: _Given(value, f"--{name.replace('_', '-')}")
        for name, value in flags.items()
        if name in NAMES
    }


def _from_environment(environment: Mapping[str, str], warn: Warn) -> dict[str, _Given]:
    known = {f"{PREFIX}{name.upper()}": name for name in NAMES}
    given = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES or not value:
            continue
        if variable in known:
            name = known[variable]
            parts = [part.strip() for part in value.split(",") if part.strip()]
            given[name] = _Given(parts if name == "app" else value, variable)
        elif close := get_close_matches(variable.removeprefix(PREFIX).lower(), NAMES, n=1):
            # Other programs may use the prefix; only what looks like a typo is reported.
            warn(f"{variable} is no setting; did you mean {PREFIX}{close[0].upper()}?")
    return given


def _from_file(folder: Path, warn: Warn) -> tuple[Path | None, dict[str, _Given]]:
    """The settings file, and its settings.

    A file above the working folder counts only if it belongs to the user or root: it names code to
    run, and anyone who can write to a folder above could put it there.
    """
    for place in (folder, *folder.parents):
        for name in ("stepwell.toml", "pyproject.toml"):
            path = place / name
            if not path.is_file():
                continue
            stranger = None if place == folder else _stranger(path)
            table, prefix = _table(path, lenient=stranger is not None)
            if table is None:
                continue
            if stranger is None:
                return path, _read(path, table, prefix)
            warn(
                f"{path} is not obeyed: it belongs to another user ({stranger}); "
                "call the command in its folder, or make it your own"
            )
    return None, {}


def _table(path: Path, *, lenient: bool) -> tuple[Any, str]:
    """The settings in a file, and the prefix of their names; None without any."""
    if path.name == "stepwell.toml":
        return ({} if lenient else _parse(path)), ""
    try:
        tool = _parse(path).get("tool")
    except InvalidSettings:
        if not lenient:
            raise
        return None, ""
    return (tool.get("stepwell") if isinstance(tool, dict) else None), "tool.stepwell."


def _stranger(path: Path) -> str | None:
    """The owner of a file, or of the link to it, if that is neither the user nor root."""
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(os.environ["SUDO_UID"]))
    try:
        owners = [path.lstat().st_uid, path.stat().st_uid]
    except OSError:
        return "unknown"
    return next((f"uid {owner}" for owner in owners if owner not in trusted), None)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidSettings(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidSettings(f"{path}: is not TOML: {error}") from None


def _read(path: Path, table: Any, prefix: str) -> dict[str, _Given]:
    if not isinstance(table, dict):
        raise InvalidSettings(f"{path}: {prefix.rstrip('.')}: must be a table, got {shown(table)}")
    given = {}
    for name, value in table.items():
        source = f"{path}: {prefix}{name}"
        if name not in NAMES:
            raise InvalidSettings(f"{source}: unknown setting{nearest(name, NAMES)}")
        given[name] = _Given(_from_folder(name, value, path.parent), source)
    return given


def _from_folder(name: str, value: Any, folder: Path) -> Any:
    """Resolve paths in a file, so that they do not depend on the working folder."""
    if name == "home" and isinstance(value, str):
        return str(folder / value)
    if name in URLS and isinstance(value, str) and value.startswith("sqlite:///"):
        return f"sqlite:///{folder / value.removeprefix('sqlite:///')}"
    if name == "app":
        specs = [value] if isinstance(value, str) else value
        if not isinstance(specs, list):
            return value
        return [
            str(folder / spec) if isinstance(spec, str) and ".py:" in spec else spec
            for spec in specs
        ]
    return value


def _text(given: _Given | None) -> str | None:
    if given is None:
        return None
    if not isinstance(given.value, str) or not given.value or "\0" in given.value:
        raise InvalidSettings(f"{given.source}: must be text, got {shown(given.value)}")
    return given.value


def _texts(given: _Given | None) -> tuple[str, ...]:
    if given is None:
        return ()
    value = given.value
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise InvalidSettings(f"{given.source}: must be a list of text, got {shown(value)}")
    return tuple(value)


def _engine(given: Mapping[str, _Given]) -> Settings:
    values = {}
    for name in ENGINE:
        if name in given:
            value, source = given[name].value, given[name].source
            try:
                Settings.of({name: value})
            except InvalidSettings as error:
                said = str(error).removeprefix(f"settings.{name}: ")
                raise InvalidSettings(f"{source}: {said}") from None
            values[name] = value
    return Settings.of(values)
