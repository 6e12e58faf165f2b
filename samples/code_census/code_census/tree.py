"""Folders of source files: their content, and the ids of their steps."""

import hashlib
import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Folders with third-party or generated files.
SKIPPED = {"site-packages", "dist-packages", "__pycache__"}
# An id has at most 200 bytes; this leaves room for a prefix before the path.
LONGEST = 190


@dataclass(frozen=True, slots=True)
class Listing:
    """The names directly in a folder, in order.

    `unnamed` are files and folders whose name is not UTF-8: a step's input is JSON and cannot
    contain such a name.
    """

    files: list[str]
    folders: list[str]
    unnamed: list[str]


def default_folder() -> str:
    """The standard library of the running Python."""
    return sysconfig.get_path("stdlib")


def list_folder(folder: Path, path: str, pattern: str) -> Listing:
    """The matching files and the folders of `folder`, whose path below the root is `path`.

    Does not follow links, so that nothing is counted twice and no loop is walked. Raises OSError.
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
    """How many files match in and below a folder; stops counting at `at_most`."""
    try:
        listing = list_folder(folder, path, pattern)
    except OSError:  # the step that scans it will report this
        return 0
    count = len(listing.files)
    for name in listing.folders:
        if count >= at_most:
            break
        count += count_files(folder / name, join(path, name), pattern, at_most - count)
    return min(count, at_most)


def join(path: str, name: str) -> str:
    """The path of `name` in the folder `path`."""
    return f"{path}/{name}" if path else name


def top_level(path: str) -> str:
    """The name under which the file at `path` is imported, up to the first dot."""
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
    """`text` with unprintable characters escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def step_id(kind: str, path: str) -> str:
    """The id of the step for a path: `file:json/decoder.py`."""
    return f"{kind}:{plain_id(path)}"


def plain_id(path: str) -> str:
    """The path, or a digest and its end, if it is too long for an id or unprintable."""
    shown = printable(path)
    if shown == path and len(path.encode()) <= LONGEST:
        return path
    digest = hashlib.sha256(path.encode()).hexdigest()[:16]
    return f"{digest}:{shown.encode()[-120:].decode(errors='ignore')}"
