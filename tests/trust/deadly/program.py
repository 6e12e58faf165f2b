"""A worker in a process of its own: `python -m tests.trust.deadly.program HOME RUN_ID LEASE BYTES`.

Works until the run ends. BYTES, unless 0, is a limit for the memory of this process.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from stepwell import Runtime, connect
from stepwell.executors.pools import tasks
from tests.trust.deadly.faults import MEGABYTE, deadly


def opened(home: Path, lease: float = 30) -> Runtime:
    """The store of one trial. What loses two leases is given up."""
    url = f"sqlite:///{home / 'engine.db'}"
    settings = {
        "lease": lease,
        "poll_interval": 0.05,
        "threads": 3,
        "tasks": 30,
        "processes": 2,
        "kill_grace": 0.1,
        "max_lost_leases": 2,
        "memory_limit": 512 * MEGABYTE,
    }
    return connect(url, home=home, packages=[deadly], settings=settings)


def main(home: str, run_id: str, lease: str, limit: str) -> None:
    if int(limit):
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
    tasks.STUCK = 1.0
    with opened(Path(home), float(lease)) as runtime:
        runtime.drain(run_id, timeout=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
