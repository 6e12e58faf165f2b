"""How much memory a process has used."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak(process: int | None = None) -> float:
    """The most memory that a process had resident, in MB; None is this process.

    Linux only for another process. `ru_maxrss` would do where a process was not started by one
    that is larger: it starts with the peak of that one.
    """
    status = Path("/proc", "self" if process is None else str(process), "status")
    if status.exists():
        found = _PEAK.search(status.read_text())
        if found:
            return int(found[1]) * 1024 / 1e6
    if process is not None:
        raise RuntimeError("the memory of another process is known on Linux only")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
