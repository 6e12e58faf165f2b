"""The pytest plugin of Stepwell: fixtures for authors of packages.

It is a module of its own, because importing anything of `stepwell` takes time, which those who
run tests without these fixtures shall not spend.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stepwell.testing.plugin import CrashEverywhere, MakeContext, MakeRuntime


def _plugin() -> Any:
    return import_module("stepwell.testing.plugin")


@pytest.fixture
def stepwell_runtime() -> Iterator[MakeRuntime]:
    """Makes runtimes in memory and virtual time: `stepwell_runtime(package, app=…, settings=…)`.

    `runtime.drain(run.id)` works until the run ended; waits take no time, for the clock moves.
    """
    with _plugin().runtimes() as make:
        yield make


@pytest.fixture
def crash_everywhere(tmp_path: Path) -> CrashEverywhere:
    """Crashes a package wherever it can: `crash_everywhere(package, input, observe=…)`.

    Raises AssertionError where the run that goes on afterwards does not end as an undisturbed one.
    """
    made: CrashEverywhere = _plugin().crashing(tmp_path)
    return made


@pytest.fixture
def step_context() -> Iterator[MakeContext]:
    """Makes contexts to call an executor's function with: `price(step_context(), line)`.

    `step.made` shows what was recorded, emitted, and so on.
    """
    with _plugin().contexts() as make:
        yield make
