"""What is played while a process dies: together these scenarios reach every crash point.

Each can be played again from its beginning, wherever an earlier process died.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from stepwell import (
    Conflict,
    EventType,
    Package,
    Permanent,
    Queue,
    RefusedByState,
    RunBuilder,
    Runtime,
    StepContext,
    StoreError,
)
from stepwell.cli.files import write_file
from stepwell.engine.checkpoints.checkpoint import Checkpoint
from stepwell.engine.crash_points import Point, Write
from stepwell.engine.exchange import ClaimRequest, PoolRequest
from stepwell.stores import opening
from stepwell.stores.artifacts.file import FileArtifactStore
from stepwell.stores.checkpoints.folder import Folder
from tests.trust.points.scenario_run import ScenarioRun

MOMENTS = ("before_begin", "before_commit", "after_commit", "before_acknowledgement")
COUNT = 3
# Lines of operations of this size are folded soon.
LARGE = 40_000


def points(*of: Write | Point) -> frozenset[str]:
    """These points, and all four of each kind of write."""
    found: set[str] = set()
    for item in of:
        found |= {item} if isinstance(item, Point) else {getattr(item, name) for name in MOMENTS}
    return frozenset(found)


def _no_trouble(point: str) -> None:
    """Nothing happens."""


@dataclass(frozen=True)
class Scenario:
    """`points`: where its process is killed, at so many of the `times` it gets there.

    `observe`: what to compare besides the store. `empty`: it begins without a schema.

    `trouble` is called at each point, too, and may raise what a store in trouble would.
    """

    play: Callable[[ScenarioRun], None]
    points: frozenset[str]
    packages: tuple[Package, ...] = ()
    options: Callable[[ScenarioRun], dict[str, Any]] = lambda _: {}
    observe: Callable[[ScenarioRun, Runtime], Any] = lambda *_: None
    trouble: Callable[[], Callable[[str], None]] = lambda: _no_trouble
    empty: bool = False
    times: int = 2
    on: frozenset[str] = field(default_factory=lambda: frozenset({"sqlite"}))

    @contextmanager
    def opened(self, scenario: ScenarioRun) -> Iterator[Runtime]:
        """A runtime as the scenario uses it."""
        with scenario.opened(*self.packages, **self.options(scenario)) as runtime:
            yield runtime


BOTH = frozenset({"sqlite", "postgres"})


def start(
    scenario: ScenarioRun, runtime: Runtime, package: Package, run_id: str, input: Any = None
) -> None:
    """Start a run, unless that was done, and be told so."""
    with suppress(Conflict):
        runtime.start_run(package, input, run_id=run_id)
    scenario.told("run", run_id)


def finish(scenario: ScenarioRun, runtime: Runtime, run_id: str, *may_end: str) -> None:
    """Work until the run has ended as it may, and be told its results."""
    runtime.drain(run_id, timeout=30)
    status = runtime.run(run_id).status
    assert status in (may_end or ("succeeded",)), f"run {run_id!r} {status}"
    for step in runtime.steps(run_id):
        if step.status == "succeeded":
            scenario.told("result", run_id, step.id, runtime.result(run_id, step.id).value)


# --- the way of a step ----------------------------------------------------------------------------

work = Package("work", queues=[Queue("slow", max_in_flight=2)])


@work.executor("work.part")
def part(step: StepContext, number: int) -> int:
    step.app.done(step.run.id, step.step.id)
    step.record("parts", str(number), {"square": number * number})
    return number * number


@work.executor("work.split", queue="slow")
def split(step: StepContext, count: int) -> int:
    step.app.done(step.run.id, step.step.id)
    for number in range(count):
        step.emit(part, number, id=f"part-{number}")
    return count


@work.entrypoint
def plan(run: RunBuilder, count: int) -> None:
    root = run.step(split, count, id="split")
    middle = run.step(part, 7, id="middle", after_subtree=[root])
    run.step(part, 8, id="last", after=[middle])


def play_way(scenario: ScenarioRun) -> None:
    with scenario.opened(work) as runtime:
        scenario.told("queue", "slow", 2)
        start(scenario, runtime, work, "r", COUNT)
        finish(scenario, runtime, "r")


# --- a worker is told to stop ---------------------------------------------------------------------

stopping = Package("stopping")


@stopping.executor("stopping.long")
def long(step: StepContext) -> str:
    scenario: ScenarioRun = step.app
    if scenario.once("stopped"):
        scenario.stop.set()
        step.on_cancel(scenario.cancelled.set)
        scenario.cancelled.wait(30)
        raise RuntimeError("given back")
    scenario.done(step.run.id, step.step.id)
    return "done"


@stopping.entrypoint
def plan_stop(run: RunBuilder) -> None:
    run.step(long, id="long")


def play_stop(scenario: ScenarioRun) -> None:
    settings = {"threads": 1, "poll_interval": 0.01, "grace": 0}
    with scenario.opened(stopping, settings=settings) as runtime:
        start(scenario, runtime, stopping, "r")
        if not scenario.has("stopped"):
            runtime.start_workers(stop=scenario.stop)
        finish(scenario, runtime, "r")


# --- leases lapse ---------------------------------------------------------------------------------


def play_lapse(scenario: ScenarioRun) -> None:
    with scenario.opened(work) as runtime:
        start(scenario, runtime, work, "r", 1)
        if scenario.once("lapsed"):
            # A worker that claims, and is never heard of again.
            pool = PoolRequest(("work.split", "work.part"), 10)
            request = ClaimRequest("gone", None, (pool,), 1, suspects=True, suspect_from=2)
            runtime._store.exchange([], request)
        finish(scenario, runtime, "r")


def lose_one_answer() -> Callable[[str], None]:
    """The first claim is committed, and the worker is not told."""
    lost: list[str] = []

    def trouble(point: str) -> None:
        if point == Write.CLAIM.after_commit and not lost:
            lost.append(point)
            raise StoreError("the answer was lost")

    return trouble


# --- operators ------------------------------------------------------------------------------------

acts = Package("acts")


@acts.executor("acts.step")
def act(step: StepContext, needs: str) -> str:
    scenario: ScenarioRun = step.app
    if needs and not scenario.has(needs):
        raise Permanent("not_yet", "it is not repaired")
    scenario.done(step.run.id, step.step.id)
    return step.step.id


@acts.entrypoint
def plan_acts(run: RunBuilder, needs: str) -> None:
    first = run.step(act, "", id="first")
    run.step(act, needs, id="second", after=[first])


def do(scenario: ScenarioRun, act: Callable[[], object], run_id: str, event: str) -> None:
    """An operator's act; one that is refused was done before."""
    with suppress(RefusedByState):
        act()
        scenario.told("event", run_id, event)


def play_operators(scenario: ScenarioRun) -> None:
    with scenario.opened(acts) as runtime:
        start(scenario, runtime, acts, "a", "repaired-a")
        runtime.pause_run("a") if runtime.run("a").status == "pending" else None
        if runtime.run("a").status == "paused":
            scenario.told("event", "a", "run.paused")
            do(scenario, lambda: runtime.resume_run("a"), "a", "run.resumed")
        do(scenario, lambda: runtime.hold_step("a", "second"), "a", "step.held")
        do(scenario, lambda: runtime.release_step("a", "second"), "a", "step.unheld")
        finish(scenario, runtime, "a", "failed", "succeeded")
        scenario.once("repaired-a")
        do(scenario, lambda: runtime.retry_step("a", "second"), "a", "step.retried")
        finish(scenario, runtime, "a")

        start(scenario, runtime, acts, "b", "repaired-b")
        finish(scenario, runtime, "b", "failed", "succeeded")
        scenario.once("repaired-b")
        do(scenario, lambda: runtime.retry_run("b"), "b", "run.retried")
        finish(scenario, runtime, "b")

        start(scenario, runtime, acts, "c", "")
        do(scenario, lambda: runtime.cancel_run("c"), "c", "run.canceled")
        scenario.told("ended", "c", "canceled")


# --- durable operations, messages, values ---------------------------------------------------------

talks = Package("talks")


@talks.workflow(max_recoveries=100)
def talk(step: StepContext) -> list[Any]:
    def effect(name: str) -> str:
        step.app.done(step.run.id, "talk", name)
        return name

    def done(name: str) -> str:
        value = step.do(name, effect, name)
        step.app.told("operation", step.run.id, "talk", name)
        return value

    heard: list[Any] = [done("one")]
    try:
        step.receive("go", int)
    except Permanent as refused:
        heard.append(refused.code)
    step.set_value("stage", len(heard))
    heard.append(step.receive("go", int))
    heard.append(step.wait_for_approval().approved)
    return [*heard, done("two")]


def play_talk(scenario: ScenarioRun) -> None:
    with scenario.opened(talks) as runtime:
        with suppress(Conflict):
            runtime.start_run(talk, run_id="r")
        scenario.told("run", "r")
        for key, payload in (("m1", "no number"), ("m2", 5)):
            with suppress(RefusedByState):
                runtime.send("r", "go", payload, key=key)
            scenario.told("message", "r", key)
        runtime.drain(timeout=30)
        scenario.told("value", "r", "stage", 2)
        with suppress(Conflict, RefusedByState):
            runtime.approve("r")
        scenario.told("event", "r", str(EventType.APPROVAL_DECIDED))
        finish(scenario, runtime, "r")
        runtime.kv.set("kept", 1)
        scenario.told("kv", "kept", 1)
        runtime.kv.set("dropped", 1)
        runtime.kv.delete("dropped")
        scenario.told("kv", "dropped", None)


# --- checkpoints in files -------------------------------------------------------------------------

filed = Package("filed")


@filed.workflow(max_recoveries=100)
def large(step: StepContext) -> list[int]:
    def effect(number: int) -> str:
        step.app.done(step.run.id, "large", f"op-{number}")
        if number == 1:  # as if a writer had been killed in the middle of a line
            path = Folder(step.app.folder / "checkpoints").path(step.idempotency_key)
            with path.open("ab") as file:
                file.write(b'{"half')
        return "x" * LARGE

    sizes = []
    for number in range(5):
        sizes.append(len(step.do(f"op-{number}", effect, number)))
        step.app.told("operation", step.run.id, "large", f"op-{number}")
    return sizes


def in_files(scenario: ScenarioRun) -> dict[str, Any]:
    return {"checkpoints": f"file://{scenario.folder / 'checkpoints'}"}


def play_files(scenario: ScenarioRun) -> None:
    with scenario.opened(filed, **in_files(scenario)) as runtime:
        with suppress(Conflict):
            runtime.start_run(large, run_id="r")
        finish(scenario, runtime, "r")
        for execution_id in ("kept", "dropped"):
            runtime.checkpointer.save_checkpoint(
                Checkpoint(id=execution_id, execution_id=execution_id)
            )
        scenario.told("checkpoint", "kept")
        runtime.checkpointer.delete_checkpoint("dropped")


# --- artifacts in files ---------------------------------------------------------------------------

arts = Package("arts")


@arts.executor("arts.make")
def make(step: StepContext) -> int:
    step.app.done(step.run.id, step.step.id)
    step.store_artifact("stored", b"bytes" * 50_000)
    step.artifact("inline", b"few bytes")
    return 1


@arts.entrypoint
def plan_arts(run: RunBuilder) -> None:
    run.step(make, id="make")


def play_artifacts(scenario: ScenarioRun) -> None:
    left = scenario.folder / "artifacts" / "tmp"
    if scenario.has("left"):
        left.mkdir(parents=True, exist_ok=True)
        (left / "0-0").touch()
    with scenario.opened(arts) as runtime:
        start(scenario, runtime, arts, "r")
        finish(scenario, runtime, "r")
        for artifact in runtime.artifacts("r"):
            text = {"stored": "bytes" * 50_000, "inline": "few bytes"}[artifact.name]
            scenario.told("artifact", artifact.id, text)
    scenario.once("left")
    left.mkdir(parents=True, exist_ok=True)
    (left / "0-0").touch()
    store = FileArtifactStore(scenario.folder / "artifacts")
    blob = store.put(b"to be deleted")
    store.delete(blob.sha256)


def artifacts_of(scenario: ScenarioRun, _: Runtime) -> list[str]:
    """The files under their digests; what a killed writer left elsewhere does not count."""
    root = scenario.folder / "artifacts"
    return sorted(path.name for path in root.glob("??/*"))


# --- projections ----------------------------------------------------------------------------------

books = Package("books")


@books.executor("books.enter")
def enter(step: StepContext, key: str) -> str:
    step.app.done(step.run.id, step.step.id)
    projection = step.projection("ledger")
    projection.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT, amount BIGINT)")
    projection.once(lambda tx: tx.execute("INSERT INTO entries VALUES (?, 1)", (key,)))
    return key


@books.entrypoint
def plan_books(run: RunBuilder) -> None:
    run.step(enter, "pen", id="pen")
    run.step(enter, "ink", id="ink", after=["pen"])


def play_books(scenario: ScenarioRun) -> None:
    with scenario.opened(books, **beside(scenario)) as runtime:
        start(scenario, runtime, books, "r")
        finish(scenario, runtime, "r")
        scenario.told("row", "ledger", "pen")
        scenario.told("row", "ledger", "ink")


def beside(scenario: ScenarioRun) -> dict[str, Any]:
    """Projections in the store's server, where it has one."""
    return {"projections": scenario.url} if scenario.url.startswith("postgres") else {}


def entries(_: ScenarioRun, runtime: Runtime) -> Any:
    return runtime.projection("ledger").query("SELECT key, amount FROM entries ORDER BY key")


# --- child processes ------------------------------------------------------------------------------

apart = Package("apart")


@apart.executor("apart.square", pool="process")
def square(number: int) -> int:
    return number * number


@apart.entrypoint
def plan_apart(run: RunBuilder) -> None:
    run.step(square, 12, id="square")


def play_apart(scenario: ScenarioRun) -> None:
    with scenario.opened(apart, settings={"processes": 1, "poll_interval": 0.01}) as runtime:
        start(scenario, runtime, apart, "r")
        finish(scenario, runtime, "r")


# --- files of commands ----------------------------------------------------------------------------


def play_output(scenario: ScenarioRun) -> None:
    path = scenario.folder / "output"
    if scenario.once("old"):
        path.write_text("old")
    assert path.read_text() in ("old", "new" * 9)
    write_file(io.BytesIO(b"new" * 9), path)
    assert path.read_text() == "new" * 9


def output_of(scenario: ScenarioRun, _: Runtime) -> str:
    return (scenario.folder / "output").read_text()


# --- what a trial must find -----------------------------------------------------------------------


def play_untrue(scenario: ScenarioRun) -> None:
    """Tells of a write before it is made."""
    with scenario.opened() as runtime:
        scenario.told("kv", "promised", 1)
        runtime.kv.set("promised", 1)


# --- the schema of a server -----------------------------------------------------------------------


def play_upgrade(scenario: ScenarioRun) -> None:
    opening.upgrade(scenario.url, clock=scenario.clock)


_WAY = points(Write.START_RUN, Write.CLAIM, Write.SETTLE_AND_CLAIM, Write.DEFINE_QUEUES)
_WAY |= points(Write.RECORD_WORKER, Write.FORGET_WORKER, Write.FORGET_SILENT_WORKERS)
_WAY |= points(Point.SETTLED, Point.CLAIMED, Point.DELIVERED, Point.DRAINING, Point.AFTER_RELEASE)
_WAY |= points(Point.STOPPED, Point.BEFORE_RENEWAL, Point.AFTER_RENEWAL)

_FILES = frozenset(point for point in Point if point.startswith("checkpoint file"))
_ARTIFACTS = frozenset(point for point in Point if point.startswith("artifact"))
_CHILDREN = frozenset(point for point in Point if point.startswith("process pool"))

SCENARIOS: dict[str, Scenario] = {
    "first opening": Scenario(play_way, points(Write.MIGRATE), (work,), empty=True),
    "way of a step": Scenario(play_way, _WAY, (work,), on=BOTH),
    "stop": Scenario(
        play_stop, points(Write.SETTLE, Write.RENEW, Point.BEFORE_RELEASE), (stopping,), on=BOTH
    ),
    "lapsed lease": Scenario(play_lapse, points(Write.REAP, Write.WAKE), (work,), on=BOTH),
    "lost answer": Scenario(
        play_way, points(Write.RELEASE_OTHERS), (work,), trouble=lose_one_answer, on=BOTH
    ),
    "operators": Scenario(
        play_operators,
        points(Write.PAUSE_RUN, Write.RESUME_RUN, Write.HOLD_STEP, Write.RELEASE_STEP)
        | points(Write.RETRY_STEP, Write.RETRY_RUN, Write.CANCEL_RUN),
        (acts,),
        on=BOTH,
    ),
    "talk": Scenario(
        play_talk,
        points(Write.SEND, Write.RECEIVE, Write.REFUSE, Write.DECIDE, Write.SET_VALUE)
        | points(Write.KV_SET, Write.KV_DELETE, Write.CHECKPOINT)
        | points(Point.OPERATION_DONE, Point.OPERATION_RECORDED),
        (talks,),
        on=BOTH,
    ),
    "checkpoint files": Scenario(
        play_files,
        _FILES | points(Write.CHECK_LEASE, Point.FOLDER_MADE),
        (filed,),
        in_files,
    ),
    "artifacts": Scenario(play_artifacts, _ARTIFACTS, (arts,), observe=artifacts_of),
    "projections": Scenario(
        play_books, points(Write.PROJECTION), (books,), beside, observe=entries, times=6, on=BOTH
    ),
    "child processes": Scenario(play_apart, _CHILDREN, (apart,)),
    "output file": Scenario(
        play_output, points(Point.OUTPUT_WRITTEN, Point.OUTPUT_REPLACED), observe=output_of
    ),
    "untrue": Scenario(
        play_untrue, frozenset({Write.KV_SET.before_commit}), (work,), on=frozenset()
    ),
    "upgrade": Scenario(
        play_upgrade, points(Write.MIGRATE), empty=True, on=frozenset({"postgres"})
    ),
}
