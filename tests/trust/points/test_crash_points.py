"""A process killed at any crash point loses nothing it acknowledged, and does nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.crash_points import POINTS
from tests.architecture.product import report
from tests.trust.points.scenario import Scenario
from tests.trust.points.scenarios import SCENARIOS

# Of about so many points a test is made, so that they spread over the cores.
SHARD = {"sqlite": 10, "postgres": 20}
# How many times of each point a long run tries, in every scenario that reaches it.
TIMES = 3


class Driver:
    """The process that forks those that are killed."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.trust.points.driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def ask(self, **trial: Any) -> dict[str, Any]:
        """The report of a trial."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(trial) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self._errors.read_text()
        found: dict[str, Any] = json.loads(answer)
        return found


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("driver") / "errors")
    with driver.process:
        yield driver
        assert driver.process.stdin is not None
        driver.process.stdin.close()


def shards(backend: str) -> list[Any]:
    """Each scenario of a backend, in parts."""
    found = []
    for name, scenario in SCENARIOS.items():
        if backend in scenario.on:
            parts = -(-len(scenario.points) // SHARD[backend])
            found += [
                pytest.param(name, (part, parts), id=f"{name}-{part}".replace(" ", "-"))
                for part in range(parts)
            ]
    return found


def check(driver: Driver, folder: Path, url: str | None, scale: float, **trial: Any) -> None:
    """Kill it at every point of the shard; nothing must be lost, done again, or end otherwise."""
    everywhere = TIMES if scale > 1 else 0

    told = driver.ask(folder=str(folder), url=url, everywhere=everywhere, **trial)

    assert not told["wrong"], report(f"{trial['scenario']!r} killed", told["wrong"])
    assert told["kills"] > 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("scenario", "shard"), shards("sqlite"))
def test_killed_on_sqlite(
    scenario: str, shard: tuple[int, int], driver: Driver, tmp_path: Path, scale: float
) -> None:
    check(driver, tmp_path, None, scale, scenario=scenario, shard=shard)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("scenario", "shard"), shards("postgres"))
def test_killed_on_postgres(
    scenario: str,
    shard: tuple[int, int],
    driver: Driver,
    tmp_path: Path,
    scale: float,
    postgres_url: str,
) -> None:
    check(driver, tmp_path, postgres_url, scale, scenario=scenario, shard=shard)


def test_every_point_is_killed_at() -> None:
    """A trial fails where one of its scenario's points is not reached."""
    sqlite = [each.points for each in SCENARIOS.values() if "sqlite" in each.on]
    reached = frozenset[str]().union(*sqlite)

    assert not POINTS - reached, report("no scenario reaches", sorted(POINTS - reached))
    assert not reached - POINTS, report("not in the list of points", sorted(reached - POINTS))


def test_a_trial_sees_what_is_lost(driver: Driver, tmp_path: Path) -> None:
    """Where something is acknowledged that is not stored, a trial says so."""
    assert isinstance(SCENARIOS["untrue"], Scenario)

    told = driver.ask(folder=str(tmp_path), url=None, everywhere=0, scenario="untrue", shard=(0, 1))

    assert told["kills"] == 1
    assert "acknowledged and lost: ['kv promised 1']" in told["wrong"][0]
