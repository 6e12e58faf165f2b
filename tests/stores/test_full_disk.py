"""A worker on a disk that is full, and has room again: what `docs/operating.md` says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, subprocess, sys, threading
from pathlib import Path
from stepwell import Package, RunBuilder, StoreError, connect

class Trouble(logging.Handler):
    found = threading.Event()
    def emit(self, record):
        print("said:", record.getMessage(), flush=True)
        self.found.set()

home = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", home], check=True)
filler, full = home / "filler", threading.Event()

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            full.set()

large = Package("large")

@large.executor("large.result")
def result(number: int) -> str:
    if number == 3:
        fill()
    return "x" * 50_000

@large.entrypoint
def start(run: RunBuilder) -> None:
    before = []
    for number in range(6):
        before = [run.step(result, number, id=f"s{number}", after=before)]

logging.getLogger("stepwell.worker").addHandler(Trouble())
with connect(home=home / "home", packages=[large]) as runtime:
    run = runtime.start_run("large", run_id="r")
    with runtime.worker():
        full.wait()
        Trouble.found.wait()
        try:
            runtime.start_run("large", run_id="refused")
        except StoreError as error:
            print("refused:", error)
        print("read:", runtime.progress("r").succeeded, len(runtime.runs()))
        filler.unlink()
        print("end:", run.wait().status.value, runtime.progress("r").succeeded)
    print("verify:", runtime.verify().ok)
"""


def test_a_worker_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    unshare = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs unshare to mount a small file system")

    done = subprocess.run(
        [*unshare, sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    said, refused, read, end, verify = done.stdout.splitlines()
    assert "the disk is full; nothing of this was stored" in said
    assert said.endswith("; trying again")
    assert "the disk is full; nothing of this was stored" in refused
    assert read == "read: 3 1"
    assert end == "end: succeeded 6"
    assert verify == "verify: True"
