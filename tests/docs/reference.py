"""The tables of the reference pages, made from the code: `python -m tests.docs.reference`.

A page keeps its own text; a table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from stepwell import KeyValueStore, RunHandle, Runtime
from stepwell.engine import errors, events, settings, verification
from stepwell.engine.run_options import RetryOptions, StartOptions
from stepwell.engine.runtime.queries import RunFilters
from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """Every field of `Settings`."""
    rows = [("setting", "default", "range", "what it is")]
    for field in dataclasses.fields(settings.Settings):
        meta = field.metadata
        span = "`full`, `relaxed`"
        if "low" in meta:
            span = f"{_number(meta['low'])} to {_number(meta['high'])} {meta['unit']}"
        rows.append((f"`{field.name}`", f"`{field.default}`", span, meta["text"]))
    return table(rows)


def events_table() -> str:
    """Every type of event."""
    rows = [("type", "what happened", "`data`")]
    for type in events.EventType:
        said, _, data = events.DESCRIPTIONS[type].partition("; data: ")
        rows.append((f"`{type}`", said, data))
    return table(rows)


def errors_table() -> str:
    """Every error class, each below its base."""
    rows = [("class", "`code`", "exit code", "when")]
    for depth, error in _tree(errors.StepwellError, 0):
        name = f"{'· ' * depth}`{error.__name__}`"
        rows.append((name, f"`{error.code}`", str(error.exit_code), _docstring(error)))
    return table(rows)


def signals_table() -> str:
    """What unwinds an execution."""
    rows = [("class", "when")]
    for depth, signal in _tree(errors.Signal, 0):
        rows.append((f"{'· ' * depth}`{signal.__name__}`", _docstring(signal)))
    return table(rows)


def checks_table() -> str:
    """Every check of `verify`."""
    return table(
        [("check", "what holds"), *((f"`{k}`", v) for k, v in verification.CHECKS.items())]
    )


def members_table(cls: type) -> str:
    """What an object offers, by name: how it is called and what it promises."""
    rows = [(f"of {cls.__name__}", "what it does")]
    for name in sorted(dir(cls)):
        member = inspect.getattr_static(cls, name)
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            rows.append((f"`{name}`", _docstring(member)))
        else:
            options = [_OPTIONS[given] for given in _OPTIONS if given in _names(member)]
            said = " ".join(map(_docstring, (member, *options)))
            rows.append((f"`{name}({_parameters(member)})`", said))
    return table(rows)


def _parameters(function: Any) -> str:
    """As in a call: names, defaults, and the options that are taken by keyword."""
    shown: list[str] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            shown += ["*", *(f"{option}=…" for option in _OPTIONS[parameter.name].__annotations__)]
        else:
            if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
                shown.append("*")
            shown.append(str(parameter.replace(annotation=parameter.empty)))
    return ", ".join(shown)


def _names(function: Any) -> Collection[str]:
    return inspect.signature(function).parameters


# The options that a method takes as `**name`.
_OPTIONS: dict[str, type] = {
    "options": StartOptions,
    "filters": RunFilters,
    "anew": RetryOptions,
}

TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "events": events_table,
    "errors": errors_table,
    "signals": signals_table,
    "checks": checks_table,
    "runtime": lambda: members_table(Runtime),
    "run-handle": lambda: members_table(RunHandle),
    "key-values": lambda: members_table(KeyValueStore),
}


def renewed(text: str) -> str:
    """A page with its tables made anew."""
    return _TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def tables_of(text: str) -> list[str]:
    """The names of the tables on a page."""
    return [found[2] for found in _TABLE.finditer(text)]


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,}"


def _docstring(of: Any) -> str:
    return " ".join((of.__doc__ or "").split())


def _tree(cls: Any, depth: int) -> Iterator[tuple[int, Any]]:
    yield depth, cls
    for below in cls.__subclasses__():
        if below.__module__ == cls.__module__:
            yield from _tree(below, depth + 1)


def main(folder: Path = REFERENCE) -> None:
    """Write the tables of all reference pages."""
    for page in sorted(folder.glob("*.md")):
        page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
