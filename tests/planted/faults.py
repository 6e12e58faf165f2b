"""Planted faults: patches against the product, each with the tests that should go red for it.

A patch is a unified diff behind comment lines::

    # What the fault is.
    # tests: the pytest nodes that should find it, the cheapest first
    # wider: what is run when those are green (may be left out)

It is applied here and not by git, so that it works in a tree without one: the lines of a hunk must
be in their file exactly once, wherever that is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
# What is run when the tests that a patch names are green.
WIDER = ("tests/engine", "tests/stores", "tests/executors", "tests/postgres", "tests/trust")

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
_DEFINED = re.compile(r"^ *(?:async )?(?:def|class) (\w+)", re.MULTILINE)


class DoesNotApply(Exception):
    """A patch does not fit the code any more; says which and why."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of one file, as they are and as they become."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault."""

    name: str
    what: str
    tests: tuple[str, ...]
    wider: tuple[str, ...]
    hunks: tuple[Hunk, ...]

    @property
    def number(self) -> int:
        """The number that its name begins with."""
        return int(self.name.partition("-")[0])

    @property
    def paths(self) -> list[str]:
        """The files it changes."""
        return list(dict.fromkeys(hunk.path for hunk in self.hunks))

    @property
    def needs_postgres(self) -> bool:
        return any("postgres" in node.lower() for node in self.tests)

    def changed(self, root: Path) -> dict[str, str]:
        """The text of each file it changes, with the fault. Raises DoesNotApply."""
        texts: dict[str, str] = {}
        for hunk in self.hunks:
            text = texts.get(hunk.path)
            if text is None:
                file = root / hunk.path
                if not file.is_file():
                    raise DoesNotApply(f"{self.name}: there is no {hunk.path}")
                text = file.read_text()
            found = f"\n{text}".count(f"\n{hunk.before}")
            if found != 1:
                first = hunk.before.splitlines()[0].strip()
                raise DoesNotApply(
                    f"{self.name}: its lines from {first!r} on are {found} times in {hunk.path}, "
                    "not once; write the patch anew"
                )
            replaced = f"\n{text}".replace(f"\n{hunk.before}", f"\n{hunk.after}")
            texts[hunk.path] = replaced[1:]
        return texts


def read_fault(file: Path) -> Fault:
    """The fault in a patch file."""
    lines = file.read_text().splitlines()
    head = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    notes = {key: value for key, _, value in (line.partition(": ") for line in head[1:])}
    return Fault(
        name=file.stem,
        what=head[0] if head else "",
        tests=tuple(notes.get("tests", "").split()),
        wider=tuple(notes.get("wider", "").split()) or WIDER,
        hunks=tuple(_hunks([line for line in lines if not line.startswith("#")])),
    )


def faults(folder: Path = FOLDER) -> list[Fault]:
    """All planted faults, by number."""
    read = map(read_fault, folder.glob("*.patch"))
    return sorted(read, key=lambda fault: fault.number)


def missing_tests(fault: Fault, root: Path = ROOT) -> list[str]:
    """Which of the tests it names are not there; those of a suite may be defined there."""
    return [node for node in fault.tests if not exists(node, root)]


def exists(node: str, root: Path = ROOT) -> bool:
    """Whether there is a test, a class or a file of tests by this name."""
    path, *names = node.split("::")
    if not (root / path).exists():
        return False
    if not names:
        return True
    own = set(_DEFINED.findall((root / path).read_text()))
    *classes, test = (name.partition("[")[0] for name in names)
    return own.issuperset(classes) and (test in own or (bool(classes) and test in _of_suites(root)))


def _of_suites(root: Path) -> set[str]:
    """The tests that a class may have from the conformance suites."""
    files = (root / "testing").rglob("*.py")
    return {name for file in files for name in _DEFINED.findall(file.read_text())}


def _hunks(lines: list[str]) -> list[Hunk]:
    hunks: list[Hunk] = []
    path = ""
    before: list[str] = []
    after: list[str] = []

    def close() -> None:
        if before:
            hunks.append(Hunk(path, "".join(before), "".join(after)))
        before.clear()
        after.clear()

    for line in lines:
        if line.startswith("--- "):
            close()
        elif line.startswith("+++ "):
            path = line.split()[1].removeprefix("b/")
        elif _HUNK.match(line):
            close()
        elif path:
            text = f"{line[1:]}\n"
            if line[:1] in ("", " ", "-"):
                before.append(text)
            if line[:1] in ("", " ", "+"):
                after.append(text)
    close()
    return hunks
