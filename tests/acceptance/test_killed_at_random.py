"""Workflows that are killed 200 times at random come to the same end, and do nothing twice."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.acceptance.kill_run import EXPECTED, OPERATIONS, open_runtime

RUNS = 4
KILLS = 50
KILLS_PER_RUN = 10
_DONE = re.compile(r"(run-\d+) (\d+) ([0-9a-f]{16})\n")


# Two hundred processes start, on as many cores as there are: its own patience holds.
@pytest.mark.timeout(400)
def test_two_hundred_kills(tmp_path: Path) -> None:
    # given: programs with a store each, side by side
    folders = [tmp_path / f"run-{number}" for number in range(RUNS)]
    for folder in folders:
        folder.mkdir()

    # when: who works them off is killed again and again
    programs = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.acceptance.kill_run", str(folder), str(seed)),
                *(str(KILLS), str(KILLS_PER_RUN)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for seed, folder in enumerate(folders)
    ]
    told = [program.communicate(timeout=300)[0].split() for program in programs]

    # then: every run ended as if nothing had happened
    assert all(int(killed) >= KILLS for _, killed in told)
    for folder, (runs, _) in zip(folders, told, strict=True):
        check_run(folder, int(runs))


def check_run(folder: Path, runs: int) -> None:
    """The results are right, and what was recorded was never done again."""
    times: dict[tuple[str, str], list[str]] = defaultdict(list)
    # Who is killed in the middle of a write may leave a part of a line, before the next one.
    for run_id, number, nonce in _DONE.findall((folder / "done.txt").read_text()):
        times[run_id, number].append(nonce)
    with open_runtime(folder) as runtime:
        for run_id in (f"run-{number}" for number in range(runs)):
            assert runtime.run(run_id).status == "succeeded"
            assert runtime.result(run_id, "thirty").value == EXPECTED
            assert [m.received_by for m in runtime.messages(run_id)] == ["thirty"]
            operations = runtime.checkpoint(run_id, "thirty").operations
            recorded = [operation for operation in operations if operation.kind == "do"]
            assert sorted(o.name for o in recorded) == sorted(
                f"work-{number}" for number in range(OPERATIONS)
            )
            assert sorted(o.kind for o in operations if o.kind != "do") == ["receive", "sleep"]
            for operation in recorded:
                # The time that was recorded is the last one there was.
                number = operation.name.removeprefix("work-")
                assert operation.value["nonce"] == times[run_id, number][-1]
