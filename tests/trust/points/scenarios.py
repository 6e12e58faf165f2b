"""What is played while a process dies: together these scenarios reach every crash point.

Each can be played again from its beginning, wherever an earlier process died.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
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
from stepwell.engine.clock import to_datetime
from stepwell.engine.crash_points import Point, Write
from stepwell.engine.exchange import ClaimRequest, PoolRequest
from stepwell.stores import opening
from tests.trust.points.scenario import BOTH, Scenario, do, finish, points, start
from tests.trust.points.scenario_run import ScenarioRun
from tests.trust.points.scenarios_of_files import (
    artifacts_of,
    arts,
    beside,
    books,
    entries,
    filed,
    in_files,
    output_of,
    play_artifacts,
    play_books,
    play_files,
    play_output,
)

COUNT = 3


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
            runtime.internals.store.exchange([], request)
        finish(scenario, runtime, "r")


def lose_one_answer() -> Callable[[str], None]:
    """The first claim is committed, and the worker is not told."""
    lost: list[str] = []

    def trouble(point: str) -> None:
        if point == Write.CLAIM.after_commit and not lost:
            lost.append(point)
            raise StoreError("the answer was lost")

    return trouble


# --- time limits ----------------------------------------------------------------------------------


def play_time_limits(scenario: ScenarioRun) -> None:
    with scenario.opened(work) as runtime:
        deadline = to_datetime(scenario.clock.micros() + 200_000)
        runtime.start_run(work, 1, run_id="late", dedup_key="late", delay=0.1, deadline=deadline)
        scenario.told("run", "late")
        do(scenario, lambda: runtime.pause_run("late"), "late", "run.paused")
        finish(scenario, runtime, "late", "failed")


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


# --- what a trial must find -----------------------------------------------------------------------


def play_untrue(scenario: ScenarioRun) -> None:
    """Tells of a write before it is made."""
    with scenario.opened() as runtime:
        scenario.told("kv", "promised", 1)
        runtime.kv.set("promised", 1)


# --- the events of all runs are read for the first time -------------------------------------------


def play_feed(scenario: ScenarioRun) -> None:
    play_way(scenario)
    with scenario.opened(work) as runtime:
        feed_of(scenario, runtime)


def feed_of(_: ScenarioRun, runtime: Runtime) -> list[tuple[Any, ...]]:
    page = runtime.events_since("beginning", 1_000)
    return [(event.run_id, event.seq, event.type, event.step_id) for event in page.events]


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
    "time limits": Scenario(play_time_limits, points(Write.ENFORCE_LIMITS), (work,), on=BOTH),
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
    "feed": Scenario(play_feed, points(Write.KEEP_FEED), (work,), observe=feed_of),
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
