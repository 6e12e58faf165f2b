"""Files that commands write with `--output`."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import InvalidInput


def write_file(source: BinaryIO, path: Path) -> None:
    """Write all of `source` to `path`, or leave the file unchanged.

    Writes into a device or a pipe, and follows a link. Raises InvalidInput if it cannot write.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as target:
                shutil.copyfileobj(source, target)
            return
        place = path.resolve()
        descriptor, name = tempfile.mkstemp(prefix=f".{place.name[:40]}.", dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as target:
                shutil.copyfileobj(source, target)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            reach(Point.OUTPUT_WRITTEN)
            os.replace(name, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        reach(Point.OUTPUT_REPLACED)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a cycle of links
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"--output: cannot write {str(path)!r}: {reason}") from None
