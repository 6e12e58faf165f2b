"""Folders of source files: what is in them, and what their steps are called."""

import hashlib
import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Folders whose files belong to somebody else, or were not written by anybody.
SKIPPED = {"site-packages", "dist-packages", "__pycache__"}
# An id has at most 200 bytes; this leaves room for what is put before a path.
LONGEST = 190


@dataclass(frozen=True, slots=True)
class Listing:
    """What is directly in a folder, by name and in order.

    `unnamed` are files and folders whose name is no UTF-8: a step's input is JSON and cannot
    name them.
    """

    files: list[str]
    folders: list[str]
    unnamed: list[str]


def default_folder() -> str:
    """The standard library of the running Python."""
    return sysconfig.get_path("stdlib")


def list_folder(folder: Path, path: str, pattern: str) -> Listing:
    """The matching files and the folders of `folder`, whose path below the root is `path`.

    Links are not followed: nothing is counted twice, and no loop is walked. Raises OSError.
    """
    files: list[str] = []
    folders: list[str] = []
    unnamed: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            if entry.is_dir():
                if entry.name not in SKIPPED and not entry.name.startswith("."):
                    (folders if is_text(entry.name) else unnamed).append(entry.name)
            elif entry.is_file() and PurePosixPath(join(path, entry.name)).match(pattern):
                (files if is_text(entry.name) else unnamed).append(entry.name)
    return Listing(sorted(files), sorted(folders), sorted(unnamed))


def count_files(folder: Path, path: str, pattern: str, at_most: int) -> int:
    """How many files match in a folder and below it; stops counting at `at_most`."""
    try:
        listing = list_folder(folder, path, pattern)
    except OSError:  # the step that scans it will say so
        return 0
    count = len(listing.files)
    for name in listing.folders:
        if count >= at_most:
            break
        count += count_files(folder / name, join(path, name), pattern, at_most - count)
    return min(count, at_most)


def join(path: str, name: str) -> str:
    """The path of what is called `name` in the folder `path`."""
    return f"{path}/{name}" if path else name


def top_level(path: str) -> str:
    """What the file at `path` is imported as, up to the first dot."""
    first, _, below = path.partition("/")
    return first if below else PurePosixPath(first).stem


def is_text(name: str) -> bool:
    """Whether a name from the file system is valid Unicode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """`text` with everything escaped that would not show."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def step_id(kind: str, path: str) -> str:
    """The id of the step for a path: `file:json/decoder.py`."""
    return f"{kind}:{plain_id(path)}"


def plain_id(path: str) -> str:
    """The path; or its end behind a digest, when it is too long for an id or would not show."""
    shown = printable(path)
    if shown == path and len(path.encode()) <= LONGEST:
        return path
    digest = hashlib.sha256(path.encode()).hexdigest()[:16]
    return f"{digest}:{shown.encode()[-120:].decode(errors='ignore')}"
