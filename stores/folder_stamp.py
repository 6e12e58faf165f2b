"""When a folder was last changed, asked for without letting other threads run meanwhile.

`os.stat` lets go of the interpreter. A busy thread gets it then, and keeps it for milliseconds:
a thousand times as long as the call takes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

# Linux: the arguments of statx(2), and where its answer has inode, last change and device.
_HERE, _SIZE, _WANTED = -100, 256, 0x100 | 0x40
_INODE, _CHANGED, _DEVICE = slice(32, 40), slice(112, 124), slice(136, 144)

# A PyDLL keeps the interpreter. Elsewhere than on Linux there is no such call.
_statx: Callable[..., int] | None = getattr(ctypes.PyDLL(None), "statx", None)


def folder_stamp(folder: str) -> object:
    """A value that changes when a file comes, goes or is replaced in the folder, None without it.

    Raises OSError as `os.stat` does.
    """
    if _statx is not None:
        found = ctypes.create_string_buffer(_SIZE)
        if _statx(_HERE, os.fsencode(folder), 0, _WANTED, found) == 0:
            raw = found.raw
            return raw[_INODE], raw[_CHANGED], raw[_DEVICE]
    try:
        stat = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns
