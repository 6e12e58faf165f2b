"""Plays a scenario once without a crash, and then kills it at each of its points.

    python -m tests.trust.points.driver

Reads a line of JSON for each trial: `scenario`, `folder`, `url` (of a server, or null), `shard`
(which one of how many), and `everywhere`: how many times of each point that the scenario reaches
are tried; 0 tries its own points alone. Answers with a line of what was reached and
what went wrong.

Every play is a process of its own, forked from this one, which has imported everything.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from stepwell import Runtime
from stepwell.engine.crash_points import Write, armed
from tests.trust.points.scenario import Scenario
from tests.trust.points.scenario_run import Opener, ScenarioRun, committed, end_of, forgotten
from tests.trust.points.scenarios import SCENARIOS

KILLED = 77
FAILED = 78
# Right before and right behind a commit.
COMMITS = frozenset(point for write in Write for point in (write.before_commit, write.after_commit))


@dataclass(frozen=True)
class Kill:
    """Where a process is to die: at a point, when it gets there for the nth time."""

    point: str
    time: int = 1

    def __str__(self) -> str:
        return f"{self.point} (time {self.time})"


def in_child(folder: Path, work: Callable[[], None]) -> int:
    """Do something in a process of its own; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = FAILED
    try:
        errors = os.open(folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(errors, 2)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


class Trial:
    """One scenario and the folder for all of its plays."""

    def __init__(self, scenario: Scenario, folder: Path, opener: Opener, url: str | None) -> None:
        self.scenario = scenario
        self.folder = folder
        self.opener = opener
        self.url = url
        self.wrong: list[str] = []
        self._everywhere = False

    def run(self, everywhere: int, shard: tuple[int, int]) -> dict[str, Any]:
        """The undisturbed play, and then all kills."""
        if self.url is None and not self.scenario.empty:
            in_child(self.folder, lambda: ScenarioRun(self.folder, 0, self.opener).opened().close())
        home = self.begin("undisturbed")
        if in_child(home, lambda: self.play_noting(home)):
            return {"kills": 0, "reached": [], "wrong": [f"undisturbed: {_errors(home)}"]}
        reached = Counter(json.loads((home / "reached").read_text()))
        self.wrong += [f"not reached: {point}" for point in self.scenario.points - set(reached)]
        self._everywhere = bool(everywhere)
        kills = kills_at(self, reached, everywhere)[shard[0] :: shard[1]]
        for number, kill in enumerate(kills):
            self.kill(f"kill-{number}", kill, json.loads((home / "end").read_text()))
        return {"kills": len(kills), "reached": sorted(reached), "wrong": self.wrong}

    def begin(self, name: str) -> Path:
        """The folder of one play, with an empty store."""
        home = self.folder / name
        home.mkdir()
        if self.url is None and not self.scenario.empty:
            shutil.copy(self.folder / "engine.db", home)
        return home

    def first(self, home: Path) -> ScenarioRun:
        """For the first play there."""
        if self.url is not None:
            empty_server(self.url, schema_too=self.scenario.empty)
        return ScenarioRun(home, 0, self.opener)

    def play_noting(self, home: Path) -> None:
        """Play to the end, and note the points on the way, and the end."""
        seen: list[str] = []
        trouble = self.scenario.trouble()

        def note(point: str) -> None:
            seen.append(point)
            trouble(point)

        scenario = self.first(home)
        with armed(note):
            self.scenario.play(scenario)
        (home / "reached").write_text(json.dumps(seen))
        self.note_end(scenario)

    def play_deadly(self, home: Path, kill: Kill) -> None:
        """Play until it dies."""
        times: Counter[str] = Counter()
        trouble = self.scenario.trouble()

        def die(point: str) -> None:
            times[point] += 1
            if point == kill.point and times[point] == kill.time:
                os._exit(KILLED)
            trouble(point)

        scenario = self.first(home)
        with armed(die):
            self.scenario.play(scenario)

    def kill(self, name: str, kill: Kill, expected: Any) -> None:
        """Die there, look at what is left, go on, and compare the ends."""
        home = self.begin(name)
        code = in_child(home, lambda: self.play_deadly(home, kill))
        if code == 0 and kill.time > 1 and self._everywhere:
            # How often an idle worker looks is not the same each time: this play came to its end
            # with fewer looks than the undisturbed one.
            shutil.rmtree(home)
            return
        if code != KILLED:
            self.wrong.append(f"{kill}: it was not killed: {code}: {_errors(home)}")
            return
        if in_child(home, lambda: self.recover(home)):
            self.wrong.append(f"{kill}: {_errors(home)}")
            return
        end = json.loads((home / "end").read_text())
        if end != expected:
            self.wrong.append(f"{kill}: ended otherwise: {end} instead of {expected}")
            return
        shutil.rmtree(home)

    def recover(self, home: Path) -> None:
        """What a process does that comes after the dead one."""
        scenario = ScenarioRun(home, 1, self.opener)
        before: set[tuple[str, ...]] = set()
        if self.scenario.packages:
            with self.scenario.opened(scenario) as runtime:
                self.check(scenario, runtime)
                before = committed(runtime)
        done = times_done(scenario)
        self.scenario.play(scenario)
        again = [words for words in before if times_done(scenario)[words] > done[words]]
        assert not again, f"committed and done again: {again}"
        self.note_end(scenario)

    def check(self, scenario: ScenarioRun, runtime: Runtime) -> None:
        """Everything that was acknowledged is there, and what is there is whole."""
        lost = forgotten(runtime, scenario.lines("told"))
        assert not lost, f"acknowledged and lost: {lost}"
        violations = runtime.verify().violations
        assert not violations, f"verify: {violations}"

    def note_end(self, scenario: ScenarioRun) -> None:
        """Write down how it ended."""
        with self.scenario.opened(scenario) as runtime:
            self.check(scenario, runtime)
            end = {**end_of(runtime), "observed": self.scenario.observe(scenario, runtime)}
        (scenario.folder / "end").write_text(json.dumps(end, sort_keys=True, default=str))


def times_done(scenario: ScenarioRun) -> Counter[tuple[str, ...]]:
    """How often each thing was done outside."""
    return Counter(map(tuple, scenario.lines("done")))


def kills_at(trial: Trial, reached: Counter[str], everywhere: int) -> list[Kill]:
    """The first and the last time of its own points; or some more times of all that it reaches.

    A server gets to know only whether it commits, so two moments of a write, once, are enough.
    """
    scenario = trial.scenario
    if everywhere:
        tries = dict.fromkeys(reached, everywhere)
    elif trial.url is None:
        tries = dict.fromkeys(scenario.points & set(reached), scenario.times)
    else:
        tries = dict.fromkeys(scenario.points & set(reached) & COMMITS, scenario.times - 1)
    kills = []
    for point, many in sorted(tries.items()):
        times = spread(reached[point], many)
        kills += [Kill(point, time) for time in times]
    return kills


def spread(last: int, many: int) -> list[int]:
    """So many numbers from 1 to `last`: the first one, the last one, and some between."""
    if many < 2:
        return [1]
    return sorted({1 + (last - 1) * number // (many - 1) for number in range(many)})


def empty_server(url: str, *, schema_too: bool) -> None:
    """Nothing in the database; its schema goes as well, where that is what is tested."""
    with psycopg.connect(url, autocommit=True) as connection:
        schemas = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'stepwell_')"
        ).fetchall()
        for (name,) in schemas:
            connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(name)))
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        ).fetchall()
        tables = [Identifier(name) for (name,) in found if schema_too or name != "meta"]
        if tables:
            verb = SQL("DROP TABLE {} CASCADE" if schema_too else "TRUNCATE {}")
            connection.execute(verb.format(SQL(", ").join(tables)))


def _errors(home: Path) -> str:
    path = home / "errors"
    return path.read_text() if path.exists() else ""


def main() -> None:
    """Answer each line that asks for a trial with its report."""
    openers: dict[str | None, Opener] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        url = asked["url"]
        if url not in openers:
            openers[url] = Opener(url)
        trial = Trial(SCENARIOS[asked["scenario"]], Path(asked["folder"]), openers[url], url)
        sys.stdout.write(json.dumps(trial.run(asked["everywhere"], asked["shard"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
