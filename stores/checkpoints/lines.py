"""The lines of a checkpoint file: sealed with length and digest, and read back strictly.

::

    stepwell-checkpoint 1
    <sha256> <bytes> {…}       the whole checkpoint, as of some moment
    <sha256> <bytes> {…}       the records since, one per line

A file is first written as a whole; lines are appended and synced one by one. So only the last line
can be unfinished, and then its writer never reported it as stored.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from stepwell.engine.checkpoints.checkpoint import Operation
from stepwell.engine.checkpoints.text import Document, Pieces, damaged, read_object, version_of
from stepwell.engine.errors import CheckpointVersionError
from stepwell.stores.checkpoints.base import assemble

MAGIC = b"stepwell-checkpoint 1\n"
_ANY_MAGIC = re.compile(rb"stepwell-checkpoint (\d+)\n")
_NAMING = ("name", "occurrence", "key")
_SEAL = re.compile(rb"([0-9a-f]{64}) (\d{1,15}) ")


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a file: `whole` is the size of the part before the records, `end` of all."""

    document: Document
    whole: int
    end: int


def seal(text: str) -> bytes:
    """A line of the file."""
    body = text.encode()
    return b"%s %d %s\n" % (hashlib.sha256(body).hexdigest().encode(), len(body), body)


def whole_file(text: str) -> bytes:
    """The bytes of a file that holds only this checkpoint."""
    return MAGIC + seal(text)


def news(pieces: Pieces) -> bytes:
    """The line of a record."""
    return seal(f'{{"head":{pieces.head},"operations":[{",".join(pieces.operations.values())}]}}')


def read(data: bytes, place: str) -> Contents:
    """The content from the bytes of a file.

    Ignores an unfinished last line. Raises CheckpointCorrupt for any other damage.
    """
    _check_magic(data, place)
    first, end = _unsealed(data, len(MAGIC), place)
    if first is None:
        raise damaged(place, "its end is missing")
    document = read_object(first, place)
    whole = end
    operations = document.get("operations")
    if not isinstance(operations, list):
        raise damaged(place, "it has no operations")
    by_id = {_id(operation, place): operation for operation in operations}
    while end < len(data):
        line, after = _unsealed(data, end, place)
        if line is None:
            break
        end = after
        update = read_object(line, place)
        head, added = update.get("head"), update.get("operations")
        if not isinstance(head, dict) or not isinstance(added, list):
            raise damaged(place, "a record has no head")
        version_of(head, place)
        by_id.update((_id(operation, place), operation) for operation in added)
        flag = (document.get("pause_requested"), str(document.get("pause_reason", "")))
        document = assemble(head, [], *flag)
    document["operations"] = [*by_id.values()]
    return Contents(document, whole, end)


def _check_magic(data: bytes, place: str) -> None:
    if data.startswith(MAGIC):
        return
    other = _ANY_MAGIC.match(data)
    if other is not None and int(other[1]) > 1:
        raise CheckpointVersionError(
            f"{place}: a file of format {int(other[1])}, newer than this code, which knows 1; "
            "nothing was changed; use a newer Stepwell"
        )
    raise damaged(place, "not a checkpoint file of Stepwell")


def _unsealed(data: bytes, start: int, place: str) -> tuple[bytes | None, int]:
    """The body of the line at `start`, and where the next one begins; None if it is unfinished."""
    found = _SEAL.match(data, start)
    if found is not None:
        digest, begin = found[1].decode(), found.end()
        end = begin + int(found[2])
        body = data[begin:end]
        if data[end : end + 1] == b"\n" and hashlib.sha256(body).hexdigest() == digest:
            return body, end + 1
        is_last = end + 1 >= len(data)
        is_short = end >= len(data) or data[end] == 0
    else:
        line, newline, rest = data[start:].partition(b"\n")
        is_last, is_short = not rest, not newline
        body = line
    # Part of the line never reached the disk: it is too short, or contains zeros.
    if is_last and (is_short or b"\0" in body):
        return None, start
    raise damaged(place, f"the line at byte {start:,} does not match its digest")


def _id(operation: object, place: str) -> str:
    """The id of a stored operation of any version."""
    if not isinstance(operation, dict):
        raise damaged(place, "an operation is no object")
    known = {field: operation[field] for field in _NAMING if field in operation}
    if "name" not in known:
        raise damaged(place, "an operation has no name")
    return Operation.model_construct(**known).id
