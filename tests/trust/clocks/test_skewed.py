"""Workers whose clocks differ, or jump: that changes when something is done, never what."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from stepwell import RunStatus, Runtime, WaitTimeout
from tests.trust.clocks.conftest import Spawn
from tests.trust.clocks.worker_process import PATIENCE, all_once, commits, failures

SKEWS = ("-3600s", "-1s", "+0s", "+1s", "+3600s")
LEASE = 1.0
ORDER = {"chains": 5, "links": 5, "ms": 5}


@pytest.fixture
def faketime() -> Mapping[str, str]:
    """What makes a process's wall clock another one than the machine's."""
    found = sorted(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))
    if not found:
        reason = "libfaketime is not installed (Debian: faketime)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # no clock of that sort ever jumps
        "NO_FAKE_STAT": "1",
    }


def test_five_workers_with_clocks_of_their_own(
    runtime: Runtime, spawn: Spawn, faketime: Mapping[str, str]
) -> None:
    # given
    for skew in SKEWS:
        spawn(LEASE, FAKETIME=skew, **faketime)

    # when
    run = runtime.start_run("sample", ORDER)

    # then: all of it is done, and each step committed once
    assert run.wait(PATIENCE).status is RunStatus.SUCCEEDED, failures(runtime, run.id)
    assert commits(runtime, run.id) == all_once(runtime, run.id)
    assert sorted(runtime.records("sample", "squares")) == sorted(
        step.id for step in runtime.steps(run.id)
    )


def test_five_workers_whose_clocks_jump(
    runtime: Runtime, spawn: Spawn, faketime: Mapping[str, str], tmp_path: Path
) -> None:
    # given: workers that look at their clocks in files
    chance = random.Random(5)
    clocks = [tmp_path / f"clock-{number}" for number in range(len(SKEWS))]
    for clock in clocks:
        set_clock(clock, 0)
        spawn(LEASE, FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1", **faketime)
    run = runtime.start_run("sample", ORDER)

    # when: they are set forward and back while there is work, by up to an hour
    for _ in range(40):
        set_clock(chance.choice(clocks), chance.randint(-3600, 3600))
        try:
            run.wait(0.1)
            break
        except WaitTimeout:
            continue
    # What was planned for later by one of them is due when they have all come so far.
    for clock in clocks:
        set_clock(clock, 2 * 3600)

    # then: all of it is done, and each step committed once
    assert run.wait(PATIENCE).status is RunStatus.SUCCEEDED, failures(runtime, run.id)
    assert commits(runtime, run.id) == all_once(runtime, run.id)


def set_clock(clock: Path, seconds: int) -> None:
    """Set it to so many seconds before or after the machine's clock."""
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}s\n")
    new.replace(clock)
