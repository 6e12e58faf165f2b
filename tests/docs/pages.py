"""The pages a reader sees, cut into headings, links and fenced blocks.

A comment before a fence says how its block is tested; readers do not see it::

    <!-- test: file=shop.py -->       the block is written to this file of the page's folder
    <!-- test: exit=7 -->             the last command of the block ends with this exit code
    <!-- test: add="--max-cycles 2" -->  what is added to each command, so that it ends
    <!-- test: output -->             the block is what the Python block before it printed
    <!-- test: copy=samples/shop -->  stands alone: a file or folder that the reader has, too
    <!-- test: database -->          stands alone: STEPWELL_STORE names a PostgreSQL from here on
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = "```"
MARKS = {"file", "exit", "add", "output", "copy", "database"}
ALONE = {"copy", "database"}
_MARK = re.compile(r"<!-- test: (.+) -->\s*\Z")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_INLINE_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is that of its first line of text, counted from 1."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def last_line(self) -> int:
        return self.line + self.text.count("\n") - 1


def pages() -> list[Path]:
    """Every page for users: the README, and all below docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a page, and the marks that stand alone as blocks without a text."""
    lines = iter(enumerate(text.splitlines(), start=1))
    marks: dict[str, str] = {}
    for number, line in lines:
        found = _MARK.match(line)
        if found:
            marks = _marks(found.group(1), f"{page}:{number}")
            if ALONE & marks.keys():
                yield Block(page, number, "", "", marks)
                marks = {}
        elif line.startswith(FENCE):
            language = line.removeprefix(FENCE).strip()
            body = []
            for _, inner in lines:
                if inner.startswith(FENCE):
                    break
                body.append(f"{inner}\n")
            yield Block(page, number + 1, language, "".join(body), marks)
            marks = {}
        elif line.strip():
            assert not marks, f"{page}:{number}: a test mark stands before what is no block"


def _marks(text: str, place: str) -> dict[str, str]:
    marks = {}
    for part in shlex.split(text):
        name, _, value = part.partition("=")
        assert name in MARKS, f"{place}: unknown test mark {name!r}"
        marks[name] = value
    return marks


def prose(text: str) -> list[tuple[int, str]]:
    """The lines outside of fenced blocks, numbered."""
    inside = False
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(FENCE):
            inside = not inside
        elif not inside:
            found.append((number, line))
    return found


def anchors(text: str) -> set[str]:
    """What links can point to: the page's headings as a reader's browser names them."""
    names = set()
    for _, line in prose(text):
        if line.startswith("#"):
            title = line.lstrip("#").strip().lower()
            names.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return names


def links(text: str) -> list[tuple[int, str]]:
    """The targets of the page's links, with their lines."""
    return [
        (number, target)
        for number, line in prose(text)
        for target in _LINK.findall(_INLINE_CODE.sub("", line))
    ]
