"""The output of commands: data on stdout, messages on stderr.

People get tables with unprintable characters escaped; programs get JSON with snake_case keys and
times in UTC with a Z.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TextIO

from stepwell.cli.streams import data_apart

COLOURS = {
    "succeeded": "32",
    "failed": "31",
    "running": "36",
    "canceled": "33",
    "waiting": "35",
    "paused": "35",
    "held": "35",
    "skipped": "2",
    "pending": "2",
}
NARROWEST = 12
SHORT_JSON = 70


def clean(text: str, *, lines: bool = False) -> str:
    """`text` with control and other unprintable characters escaped; `lines` keeps line ends."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or (lines and char == "\n")
        else char.encode("unicode_escape").decode()
        for char in text
    )


def plain(value: Any) -> Any:
    """A model value as plain JSON values: times as text with a Z, durations in seconds."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def json_text(value: Any, *, indent: int | None = 2, ascii_only: bool = False) -> str:
    """`value` as JSON without characters that control a terminal."""
    text = json.dumps(plain(value), indent=indent, ensure_ascii=ascii_only)
    if text.isascii():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def json_cell(value: Any) -> str:
    """`value` as JSON for a person: on one line if it is short."""
    line = json_text(value, indent=None)
    return line if len(line) <= SHORT_JSON else json_text(value)


def moment(value: datetime | None) -> str:
    """A time for people: UTC, to the second."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%SZ")


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular for one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def width(text: str) -> int:
    """How many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


class Output:
    """The output of one command. `json` says whether a program reads it."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self._data: TextIO | None = None

    @property
    def stream(self) -> TextIO:
        """Where data goes: the original stdout, even after `set_apart`."""
        return sys.stdout if self._data is None else self._data

    def set_apart(self, *, descriptors: bool) -> None:
        """From now on, send what other code writes to stdout to stderr; see `data_apart`."""
        if self._data is None and isinstance(_raw(sys.stdout), _Nowhere):
            # There is no stdout to keep; lost output is reported at the end.
            self._data, sys.stdout = sys.stdout, sys.stderr
            if descriptors:
                for place in (1, sys.stderr.fileno()):
                    os.dup2(sys.stderr.fileno(), place, inheritable=True)
        elif self._data is None:
            self._data = data_apart(descriptors=descriptors)

    def flush(self) -> None:
        """Flush all data. Raises BrokenPipeError if nobody reads it."""
        self.stream.flush()

    # --- data -------------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        """One line of data, with unprintable characters escaped."""
        self._put(clean(text))

    def text(self, text: str) -> None:
        """Several lines of data."""
        self._put(clean(text, lines=True))

    def value(self, value: Any, *, indent: int | None = 2) -> None:
        """Data as JSON; `indent` None writes it on one line."""
        self._put(json_text(value, indent=indent, ascii_only=not _speaks_unicode(self.stream)))

    def done(self, value: Any, text: str) -> None:
        """What was done: as JSON where that is asked for, else as a line."""
        if self.json:
            self.value(value)
        else:
            self.line(text)

    def fields(self, pairs: Mapping[str, Any]) -> None:
        """Names and values, one pair a line, without empty ones."""
        shown = {name: _cell(value) for name, value in pairs.items() if value not in (None, "")}
        left = max(map(len, shown), default=0)
        for name, value in shown.items():
            first, *more = value.split("\n")
            self._put(f"{name:<{left}}  {self.tint(first) if name == 'status' else first}")
            for line in more:
                self._put(f"{'':<{left}}  {line}")

    def table(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table; on a terminal, the last column is cut to fit. Without rows, nothing."""
        cells = [[_cell(value).replace("\n", "\\n") for value in row] for row in rows]
        if not cells:
            return
        titles = [name.upper().replace("_", " ") for name in names]
        widths = [
            max(width(row[index]) for row in [titles, *cells]) for index in range(len(titles))
        ]
        room = self._room(widths)
        self._put(_row(titles, widths, room))
        status = names.index("status") if "status" in names else None
        for row in cells:
            line = _row(row, widths, room)
            if status is not None and self.colours:
                start = sum(widths[:status]) + 2 * status
                # Statuses are ASCII and come first, so columns equal characters here.
                end = start + len(row[status])
                if line[start:end] == row[status]:
                    line = line[:start] + self.tint(row[status]) + line[end:]
            self._put(line)

    def _room(self, widths: Sequence[int]) -> int | None:
        """The maximum width of the last column, or None for no limit."""
        if not self.stream.isatty():
            return None
        columns = shutil.get_terminal_size().columns
        return max(NARROWEST, columns - sum(widths[:-1]) - 2 * (len(widths) - 1))

    @property
    def colours(self) -> bool:
        """Whether data may be coloured."""
        return colours_wanted(self.stream)

    def tint(self, status: str) -> str:
        """A status in its colour."""
        code = COLOURS.get(status)
        return f"\x1b[{code}m{status}\x1b[0m" if code and self.colours else status

    def _put(self, text: str) -> None:
        print(text, file=self.stream)

    # --- talk -------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """One line for the person at the terminal."""
        self.talk(clean(text))

    def talk(self, text: str) -> None:
        """Unchanged text to stderr; does not fail if nobody reads it."""
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            forget(sys.stderr)

    def warn(self, text: str) -> None:
        """One line about a problem that does not stop the command."""
        self.say(f"warning: {text}")


class _Nowhere(io.FileIO):
    """Replaces a closed stream and occupies its number, so that no file gets it."""

    def __init__(self) -> None:
        super().__init__(os.devnull, "wb")
        self.lost = False

    def write(self, data: Any, /) -> int:
        """Discard the data."""
        self.lost = True
        return memoryview(data).nbytes


def nowhere() -> TextIO:
    """A stream in place of one that the caller had closed."""
    return io.TextIOWrapper(io.BufferedWriter(_Nowhere()), encoding="utf-8")


def is_lost(stream: TextIO) -> bool:
    """Whether anything was written to a closed stream, or is buffered for it."""
    raw = _raw(stream)
    if not isinstance(raw, _Nowhere):
        return False
    stream.flush()
    return raw.lost


def _raw(stream: TextIO) -> Any:
    return getattr(getattr(stream, "buffer", None), "raw", None)


def forget(stream: TextIO) -> None:
    """Discard what is still buffered for a stream that nobody reads, without a message."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
    except (OSError, ValueError):
        return


def colours_wanted(stream: TextIO) -> bool:
    """Whether `stream` is a terminal and colours are not disabled."""
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def _speaks_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return clean(value, lines=True)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return json_text(value, indent=None)


def _row(cells: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    last = cells[-1]
    if room is not None and width(last) > room:
        last = last[: room - 1] + "…"
    padded = [
        cell + " " * (wide - width(cell)) for cell, wide in zip(cells[:-1], widths, strict=False)
    ]
    return "  ".join([*padded, last]).rstrip()
