"""Works off workflows of 30 operations, a sleep and a message, and kills who does it at random.

    python -m tests.acceptance.kill_run FOLDER SEED KILLS KILLS_PER_RUN

Every life is a child process of its own; after KILLS_PER_RUN kills a run is left in peace. Prints
how many runs there were and how many lives were ended.
What the operations do outside is a line in `FOLDER/done.txt` for each time one was run.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepwell import Conflict, Package, Runtime, StepContext, connect

OPERATIONS = 30
MESSAGE = 1_000
EXPECTED = sum(number * number for number in range(OPERATIONS)) + MESSAGE
LEASE = 0.2
# A life without kills takes about so long, in seconds.
LIFE = 0.1

package = Package("killed")


def work(folder: str, run_id: str, number: int) -> dict[str, Any]:
    """Leave a line outside, and return a number that says which time it was."""
    nonce = os.urandom(8).hex()
    done = os.open(Path(folder) / "done.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(done, f"{run_id} {number} {nonce}\n".encode())
    os.close(done)
    return {"value": number * number, "nonce": nonce}


@package.workflow(max_recoveries=1_000)
def thirty(step: StepContext) -> int:
    total = 0
    for number in range(OPERATIONS):
        if number == 10:
            step.sleep(0.02)
        if number == 20:
            total += step.receive("go", int, timeout=60)
        total += step.do(f"work-{number}", work, step.app, step.run.id, number)["value"]
    return total


def open_runtime(folder: Path) -> Runtime:
    """The store of one kill run."""
    settings = {"lease": LEASE, "poll_interval": 0.05, "threads": 1}
    url = f"sqlite:///{folder}/runs.db"
    return connect(url, home=folder, packages=[package], settings=settings, app=str(folder))


def live(folder: Path, run_id: str) -> None:
    """One life: start the run if nobody did, send it its message, work until it ends."""
    with open_runtime(folder) as runtime:
        with suppress(Conflict):
            runtime.start_run("killed", run_id=run_id)
        if not runtime.run(run_id).status.ended:
            runtime.send(run_id, "go", MESSAGE, key="the one")
        runtime.drain(run_id, timeout=60)


def wait_to_kill(folder: Path, child: int, chance: random.Random) -> None:
    """Until the moment comes to kill: any at all, or one shortly after some more operations."""
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0, LEASE + LIFE))
        return
    path = folder / "done.txt"
    lines = path.stat().st_size if path.exists() else 0
    enough = lines + chance.randrange(1, 8) * 20
    while not path.exists() or path.stat().st_size < enough:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.0002)
    time.sleep(chance.uniform(0, 0.005))


def main(folder: Path, seed: int, kills: int, kills_per_run: int) -> None:
    """Start one run after the other, until enough lives were ended."""
    chance = random.Random(seed)
    killed = number = 0
    while killed < kills:
        left = kills_per_run
        while True:
            child = os.fork()
            if child == 0:
                try:
                    live(folder, f"run-{number}")
                finally:
                    os._exit(0)
            if left:
                wait_to_kill(folder, child, chance)
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                break
            left -= 1
        killed += kills_per_run - left
        number += 1
    sys.stdout.write(f"{number} {killed}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
