"""What a disk may hold after the power went, as far as its files' and folders' syncs promise.

Nothing else is relied on: what was written since the last sync of a file may be there, or not, or
in part, in any order; so may be what happened to the names in a folder since the folder's last
sync. A file's sync says nothing of its name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.trust.disk.shim import Call

SECTOR, PAGE = 512, 4096


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place; `data` None cuts the file, or stretches it with zeros, to `offset`."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        end = self.offset if self.data is None else self.offset + len(self.data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        if self.data is None:
            del content[end:]
        else:
            content[self.offset : end] = self.data

    def torn(self, unit: int) -> list[Write]:
        """The same as writes of single sectors or pages."""
        if self.data is None:
            return [self]
        pieces, place, end = [], self.offset, self.offset + len(self.data)
        while place < end:
            behind = min(end, place - place % unit + unit)
            pieces.append(Write(place, self.data[place - self.offset : behind - self.offset]))
            place = behind
        return pieces


@dataclass(slots=True, eq=False)
class File:
    """What is on the disk for sure, and what was written since the last sync."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)

    def sync(self) -> None:
        for write in self.pending:
            write.apply(self.synced)
        self.pending.clear()


# Names that change at once, and what they then name; None removes the name.
Change = dict[str, "File | Folder | None"]


@dataclass(slots=True, eq=False)
class Folder:
    """The names on the disk for sure, those that programs see, and the changes in between."""

    synced: dict[str, File | Folder] = field(default_factory=dict)
    seen: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        self.synced = dict(self.seen)
        self.pending.clear()

    def change(self, change: Change) -> None:
        self.pending.append(change)
        _rename(self.seen, change)


def _rename(names: dict[str, File | Folder], change: Change) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """Follows a log of calls. `root` was there, and empty, when the log began."""

    def __init__(self, root: Path) -> None:
        self._prefix = f"{root}/"
        self.root = Folder()
        self.acknowledged: list[str] = []

    def follow(self, call: Call) -> None:
        """One more call happened."""
        if call.kind == "a":
            self.acknowledged.append(call.path)
        elif call.kind not in "-!" and not call.path.endswith(("-shm", " (deleted)")):
            self._change(call)

    def _change(self, call: Call) -> None:
        folder, name = self._place(call.path)
        node = folder.seen.get(name) if name else folder
        match call.kind:
            case "c":
                folder.change({name: File()})
            case "m":
                folder.change({name: Folder()})
            case "u":
                folder.change({name: None})
            case "r":
                self._move(call)
            case "s":
                assert node is not None
                node.sync()
            case _:
                assert isinstance(node, File)
                node.pending.append(Write(call.offset, call.data if call.kind == "w" else None))

    def _move(self, call: Call) -> None:
        (here, name), (there, target) = self._place(call.path), self._place(call.target)
        node = here.seen[name]
        if here is there:
            here.change({target: node, name: None})
        else:  # each folder is synced by itself
            there.change({target: node})
            here.change({name: None})

    def _place(self, path: str) -> tuple[Folder, str]:
        if f"{path}/" == self._prefix:
            return self.root, ""
        assert path.startswith(self._prefix), path
        *above, name = path.removeprefix(self._prefix).split("/")
        folder = self.root
        for part in above:
            below = folder.seen[part]
            assert isinstance(below, Folder)
            folder = below
        node = folder.seen.get(name)
        return (node, "") if isinstance(node, Folder) else (folder, name)


class NoLoss:
    """Everything arrived, synced or not."""

    def content(self, file: File, name: str) -> bytes:
        """What the file holds."""
        content = bytearray(file.synced)
        for write in file.pending:
            write.apply(content)
        return bytes(content)

    def names(self, folder: Folder, name: str) -> dict[str, File | Folder]:
        """What the folder holds."""
        return folder.seen


class PowerLoss:
    """One way to lose what was not synced, decided by chance for each file and folder."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        # In some losses nearly everything arrived, in some nearly nothing.
        self._share = chance.choice((0.1, 0.5, 0.9))
        self.said: list[str] = []

    def content(self, file: File, name: str) -> bytes:
        """What the file holds afterwards."""
        if not file.pending:
            return bytes(file.synced)
        content = bytearray(file.synced)
        for write in self._writes(file.pending, name):
            write.apply(content)
        return bytes(content)

    def names(self, folder: Folder, name: str) -> dict[str, File | Folder]:
        """What the folder holds afterwards."""
        if not folder.pending:
            return folder.synced
        names = dict(folder.synced)
        for change in self._some(folder.pending, name):
            _rename(names, change)
        return names

    def _some(self, pending: list[Change], name: str) -> list[Change]:
        way = self._chance.choice(("none", "all", "first", "any"))
        self.said.append(f"{name}/: {way} of {len(pending)}")
        if way == "first":
            return pending[: self._chance.randrange(len(pending) + 1)]
        kept = {"none": 0.0, "all": 1.0}.get(way, self._share)
        return [change for change in pending if self._chance.random() < kept]

    def _writes(self, pending: list[Write], name: str) -> list[Write]:
        way = self._chance.choice(("none", "all", "first", "any", "sectors", "pages"))
        self.said.append(f"{name}: {way} of {len(pending)}")
        if way in ("none", "all"):
            return pending if way == "all" else []
        if way == "first":
            kept = pending[: self._chance.randrange(len(pending) + 1)]
            return kept[:-1] + self._beginning(kept[-1]) if kept else []
        unit = {"sectors": SECTOR, "pages": PAGE}.get(way)
        pieces = pending if unit is None else [part for one in pending for part in one.torn(unit)]
        some = [piece for piece in pieces if self._chance.random() < self._share]
        if self._chance.random() < 0.5:  # the size arrived, and reads as zeros
            longest = max(one.offset + len(one.data or b"") for one in pending)
            some.append(Write(longest, b""))
        return some

    def _beginning(self, write: Write) -> list[Write]:
        if not write.data:
            return [write]
        return [Write(write.offset, write.data[: self._chance.randrange(len(write.data) + 1)])]


def put_down(
    folder: Folder, place: Path, loss: PowerLoss | NoLoss, only: str = "", name: str = ""
) -> None:
    """Make what is left of `folder` in an empty one; of the paths below only those of `only`."""
    for entry, node in loss.names(folder, name).items():
        path = f"{name}/{entry}" if name else entry
        if not path.startswith(only) and not only.startswith(f"{path}/"):
            continue
        if isinstance(node, Folder):
            (place / entry).mkdir()
            put_down(node, place / entry, loss, only, path)
        else:
            (place / entry).write_bytes(loss.content(node, path))


@dataclass(frozen=True, slots=True)
class Image:
    """A disk after the power went: how it came about, and what was acknowledged before."""

    number: int
    calls: int
    loss: PowerLoss
    root: Folder
    acknowledged: list[str]

    def put_down(self, place: Path, only: str = "") -> None:
        """Make it at `place`, in place of whatever is there."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        put_down(self.root, place, self.loss, only)

    def __str__(self) -> str:
        return f"image {self.number}, cut after call {self.calls}; {'; '.join(self.loss.said)}"


def images(root: Path, calls: list[Call], count: int, chance: Random) -> Iterator[Image]:
    """So many images, their cuts spread evenly over the calls. Each is good until the next."""
    disk = Disk(root)
    made = 0
    for number, call in enumerate(calls, start=1):
        disk.follow(call)
        while made < count * number // len(calls):
            made += 1
            yield Image(made, number, PowerLoss(chance), disk.root, disk.acknowledged)
