"""Kills workers and clients of one store at random, and then looks whether all is there.

    python -m tests.trust.kills.kill_run FOLDER SEED KILLS [POSTGRES_URL]

Every worker and client is a process forked from this one, which has imported everything. Who is
killed has a successor at once, which may be killed while it opens the store or takes back what the
dead one held. Prints counts and what was wrong, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepwell import EventType, Runtime, connect
from stepwell.engine.clock import to_micros
from tests.trust.kills.workload import ENDS, ask, lines, send_again, workload
from tests.trust.points.scenario_run import Opener

WORKERS = 2
CLIENTS = 1
LEASE = 0.3
SETTINGS = {
    "lease": LEASE,
    "poll_interval": 0.02,
    "threads": 2,
    "max_lost_leases": 1_000,
}
# The longest time without a kill, in seconds.
PATIENCE = 3.0
# After so many kills the store is verified while others work on.
VERIFIED_EVERY = 10
# How long the machine may be busy with other things, in seconds.
SLACK = 10.0


class KillRun:
    """One store, and who works on it."""

    def __init__(self, folder: Path, seed: int, url: str | None) -> None:
        self.folder = folder
        self.url = url
        self.chance = random.Random(seed)
        self.opener = Opener(url)
        self.living: dict[int, str] = {}
        self.lives: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.last_kill = 0
        # Who is left without a parent reads the end of this pipe, and ends itself.
        self._end, self._held = os.pipe()

    def opened(self) -> Runtime:
        """A runtime on the store, in whatever process."""
        options: dict[str, Any] = {} if self.url is None else {"projections": self.url}
        return connect(
            self.opener.open(),
            packages=[workload],
            home=self.folder,
            app=self.folder,
            settings=SETTINGS,
            **options,
        )

    # --- lives ----------------------------------------------------------------------------------

    def start(self, role: str) -> int:
        """A new worker or client."""
        self.lives[role] += 1
        child = os.fork()
        if child == 0:
            self._live({"worker": self._work, "client": self._ask}[role])
        self.living[child] = role
        return child

    def _live(self, live: Callable[[], None]) -> None:
        code = 1
        try:
            os.close(self._held)
            threading.Thread(target=self._follow, daemon=True).start()
            errors = os.open(self.folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(errors, 2)
            live()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _follow(self) -> None:
        os.read(self._end, 1)
        os._exit(1)

    def _work(self) -> None:
        with self.opened() as runtime:
            runtime.start_workers()

    def _ask(self) -> None:
        life = self.lives["client"]
        with self.opened() as runtime:
            ask(runtime, self.folder / f"told-{life}", f"c{life}", random.Random(life))

    # --- deaths ---------------------------------------------------------------------------------

    def kill(self) -> None:
        """Wait for the moment, kill one of them, and start its successor."""
        victim = self.chance.choice(sorted(self.living))
        self.await_moment()
        role = self.living.pop(victim)
        os.kill(victim, signal.SIGKILL)
        self.last_kill = time.time_ns() // 1000
        status = os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1])
        assert status == -signal.SIGKILL, f"a {role} had ended: {self.errors()}"
        self.killed[role] += 1
        self.start(role)
        if self.killed.total() % VERIFIED_EVERY == 0:
            self.verify()

    def verify(self) -> None:
        """Look at the store while others go on, in a process of its own: this one only forks."""
        child = os.fork()
        if child == 0:
            self._live(self._verify)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0, f"verified after {self.killed}: {self.errors()}"

    def _verify(self) -> None:
        with self.opened() as runtime:
            violations = runtime.verify().violations
            assert not violations, violations

    def await_moment(self) -> None:
        """Any moment, perhaps while a successor begins; or one when some more work was done."""
        if self.chance.random() < 0.4:
            time.sleep(self.chance.uniform(0, 0.06))
            return
        enough = self._progress() + self.chance.randrange(40, 400)
        late = time.monotonic() + PATIENCE
        while self._progress() < enough and time.monotonic() < late:
            time.sleep(0.001)
        time.sleep(self.chance.uniform(0, 0.004))

    def _progress(self) -> int:
        try:
            return (self.folder / "bodies").stat().st_size
        except FileNotFoundError:
            return 0

    def end(self, role: str) -> None:
        """Kill all of a role, without successors."""
        for pid in [pid for pid, name in self.living.items() if name == role]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self.living[pid]

    def errors(self) -> str:
        """What those who died by themselves said."""
        path = self.folder / "errors"
        return path.read_text()[-3_000:] if path.exists() else ""

    # --- what is left ---------------------------------------------------------------------------

    def finish(self, runtime: Runtime) -> float:
        """Wait until every run has ended; the seconds from the last kill until the last lapse."""
        for run in runtime.runs(limit=100_000):
            if run.entrypoint == "talk" and not run.status.ended:
                send_again(runtime, run.id)
        for run in runtime.runs(limit=100_000):
            runtime.wait(run.id, timeout=60)
        lapsed = [
            to_micros(event.at)
            for run in runtime.runs(limit=100_000)
            for event in runtime.events(run.id)
            if event.type is EventType.STEP_LAPSED
        ]
        return (max(lapsed, default=self.last_kill) - self.last_kill) / 1e6

    def check(self, runtime: Runtime) -> list[str]:
        """What is not as it has to be."""
        wrong = [
            f"acknowledged and lost: {words}"
            for told in sorted(self.folder.glob("told-*"))
            for words in self._last(lines(told))
            if not self._holds(runtime, words)
        ]
        attempts: dict[tuple[str, str], int] = {}
        for run in runtime.runs(limit=100_000):
            if run.status != "succeeded":
                wrong.append(f"run {run.id} {run.status}")
                continue
            wrong += self._check_run(runtime, run.id, run.entrypoint, attempts)
        for run_id, step_id, attempt in lines(self.folder / "bodies"):
            if attempt > attempts.get((run_id, step_id), 0):
                wrong.append(f"step {step_id} of {run_id} ran again after its commit")
        wrong += [f"verify: {violation}" for violation in runtime.verify().violations]
        return wrong + self._check_effects(runtime) + self._check_ledger(runtime)

    def _last(self, told: list[list[Any]]) -> list[list[Any]]:
        """Of values that were written again, only the last has to be there."""
        kept = [words for words in told if words[0] != "kv"]
        return kept + [words for words in told if words[0] == "kv"][-1:]

    def _holds(self, runtime: Runtime, words: list[Any]) -> bool:
        match words:
            case ["run", run_id, kind]:
                return bool(runtime.run(run_id).entrypoint == kind)
            case ["message", run_id, key]:
                sent = [message for message in runtime.messages(run_id) if message.key == key]
                return [message.received_by for message in sent] == ["talk"]
            case ["kv", key, number]:
                # One more may have been stored, and not acknowledged.
                return runtime.kv.get(key) in (number, number + 1)
            case ["result", run_id, step_id, value]:
                return bool(runtime.result(run_id, step_id).value == value)
            case _:
                return False

    def _check_run(
        self, runtime: Runtime, run_id: str, kind: str, attempts: dict[tuple[str, str], int]
    ) -> list[str]:
        """One run: its results, one commit for each step, and events without gaps."""
        wrong = []
        for step_id, value in ENDS[kind].items():
            if runtime.result(run_id, step_id).value != value:
                wrong.append(f"result of {step_id} of {run_id}")
        events = runtime.events(run_id)
        if [event.seq for event in events] != list(range(1, len(events) + 1)):
            wrong.append(f"events of {run_id} have gaps")
        commits: dict[str, list[int | None]] = defaultdict(list)
        for event in events:
            if event.type is EventType.STEP_SUCCEEDED and event.step_id is not None:
                commits[event.step_id].append(event.attempt)
        for step in runtime.steps(run_id):
            if len(commits[step.id]) != 1:
                wrong.append(f"step {step.id} of {run_id} has commits of {commits[step.id]}")
            attempts[run_id, step.id] = step.attempt
        if kind == "graph":
            grounds = [step.id for step in runtime.steps(run_id) if step.id.startswith("grind")]
            sacks = [ref for ref in runtime.artifacts(run_id) if ref.name == "sack"]
            if len(grounds) != ENDS[kind]["split"] or len(sacks) != 1:
                wrong.append(f"{run_id} made {grounds} and {len(sacks)} artifacts")
            for ref in runtime.artifacts(run_id):
                with runtime.open_artifact(ref.id) as stream:
                    if run_id not in stream.read().decode():
                        wrong.append(f"artifact {ref.name} of {run_id}")
        return wrong

    def _check_effects(self, runtime: Runtime) -> list[str]:
        """The operation that was recorded is the last one that was done."""
        wrong = []
        last: dict[tuple[str, str], str] = {}
        for run_id, name, nonce in lines(self.folder / "effects"):
            last[run_id, name] = nonce
        for run_id in {run_id for run_id, _ in last}:
            for operation in runtime.checkpoint(run_id, "talk").operations:
                if (
                    operation.kind == "do"
                    and operation.value["nonce"] != last[run_id, operation.name]
                ):
                    wrong.append(f"operation {operation.name} of {run_id} was done again")
        return wrong

    def _check_ledger(self, runtime: Runtime) -> list[str]:
        """The projection and the records have each run's work once."""
        graphs = {run.id for run in runtime.runs(limit=100_000) if run.entrypoint == "graph"}
        query = "SELECT run, sum(amount) AS amount FROM entries GROUP BY run"
        ledger = {row["run"]: row["amount"] for row in runtime.projection("ledger").query(query)}
        squares = Counter(key.partition("/")[0] for key in runtime.records("workload", "squares"))
        wrong = [] if ledger == dict.fromkeys(graphs, 1) else [f"ledger: {ledger}"]
        if squares != dict.fromkeys(graphs, ENDS["graph"]["split"]):
            wrong.append(f"records: {squares}")
        return wrong


def main(folder: Path, seed: int, kills: int, url: str | None = None) -> dict[str, Any]:
    """All of it."""
    os.chdir(folder)
    kill_run = KillRun(folder, seed, url)
    for role, count in (("worker", WORKERS), ("client", CLIENTS)):
        for _ in range(count):
            kill_run.start(role)
    while kill_run.killed.total() < kills:
        kill_run.kill()
    kill_run.await_moment()
    kill_run.end("worker")
    kill_run.end("client")
    kill_run.last_kill = time.time_ns() // 1000
    for _ in range(WORKERS):
        kill_run.start("worker")
    with kill_run.opened() as runtime:
        waited = kill_run.finish(runtime)
        wrong = kill_run.check(runtime)
        if waited > LEASE + SLACK:
            wrong.append(f"a lease lapsed {waited:.1f} s after the last kill")
        counts = {"runs": len(runtime.runs(limit=100_000)), "waited": waited}
    kill_run.end("worker")
    return {"killed": kill_run.killed, "wrong": wrong, "errors": kill_run.errors(), **counts}


if __name__ == "__main__":
    where, *numbers = sys.argv[1:4]
    report = main(Path(where), *map(int, numbers), *sys.argv[4:])  # type: ignore[arg-type]
    sys.stdout.write(json.dumps(report))
