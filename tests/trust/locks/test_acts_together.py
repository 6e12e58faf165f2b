"""All acts and two workers against each other on a real server: its log tells of no deadlock."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest

from stepwell import Package, Queue, Retry, RunBuilder, Runtime, StepContext, connect
from stepwell.engine.errors import StepwellError, StoreError
from tests.postgres.server import OwnServer, ask, own_server

SECONDS, MOST_SECONDS = 15.0, 60.0
RUNS = 8
OPERATORS = 4
KEYS = [f"key:{number}" for number in range(4)]

busy = Package(
    "busy",
    queues=[Queue("narrow", max_in_flight=5), Queue("slow", rate_limit=50)],
)


def in_any_order(seed: object) -> list[str]:
    keys = list(KEYS)
    random.Random(str(seed)).shuffle(keys)
    return keys


@busy.executor("busy.plan", retry=Retry(max_attempts=2, initial=0))
def plan(step: StepContext, number: int) -> int:
    """Records under the keys of all the others, messages and values for them, children."""
    order = in_any_order((step.run.id, step.attempt))
    for key in order:
        step.record("shared", key, {"by": step.run.id})
    step.set_value(order[0], number)
    for key in order[:2]:
        step.send(f"run:{(number + len(key)) % RUNS}", "news", number)
    children = [
        step.emit(leaf, place, id=f"leaf:{step.attempt}:{place}", queue=queue)
        for place, queue in enumerate(["default", "narrow", "slow", "default", "narrow"])
    ]
    step.emit(leaf, 9, id=f"join:{step.attempt}", after=children)
    return number


@busy.executor("busy.leaf", retry=Retry(max_attempts=2, initial=0))
def leaf(step: StepContext, place: int) -> int:
    for key in in_any_order((step.run.id, step.step.id))[:3]:
        step.record("shared", key, {"by": step.step.id})
    if place == 3 and step.attempt == 1:
        raise RuntimeError("the first time")
    return place


@busy.executor("busy.wait")
def wait(step: StepContext, number: int) -> None:
    """Waits for the value of another run, which may come at any moment, and for a message."""
    step.do("look", str, number)
    step.wait_for_value(f"run:{(number + 3) % RUNS}", KEYS[number % len(KEYS)], timeout=0.5)
    step.receive("news", timeout=0.5)


@busy.entrypoint
def start(run: RunBuilder, number: int) -> None:
    planned = run.step(plan, number, id="plan")
    run.step(wait, number, id="wait")
    run.step("wait.approval", {"timeout": 1}, id="ask", allow_failure=True)
    run.step("run.start", {"package": "busy", "entrypoint": "below", "input": number}, id="child")
    run.step(leaf, 1, id="last", after_subtree=[planned])


@busy.entrypoint(name="below")
def start_below(run: RunBuilder, number: int) -> None:
    first = run.step(leaf, number, id="first")
    run.step(leaf, 3, id="second", after=[first])


# Each by a runtime, the number of a run and of the call.
ACTS: dict[str, Callable[[Runtime, int, int], object]] = {
    "start": lambda runtime, run, _: runtime.start_run("busy", run, entrypoint="start"),
    "start limited": lambda runtime, run, _: runtime.start_run(
        "busy", run, entrypoint="start", timeout=0.2, start_by=5
    ),
    "start keyed": lambda runtime, run, _: runtime.start_run(
        "busy", run, entrypoint="start", dedup_key=KEYS[run % 4], timeout=0.5
    ),
    "replace": lambda runtime, run, call: runtime.start_run(
        *("busy", call),
        entrypoint="start",
        dedup_key=KEYS[run % 4],
        on_duplicate="replace",
        delay=0.05 * (call % 4),
    ),
    "pause": lambda runtime, run, _: runtime.pause_run(a_run(runtime, run)),
    "resume": lambda runtime, run, _: runtime.resume_run(a_run(runtime, run)),
    "cancel": lambda runtime, run, _: runtime.cancel_run(a_run(runtime, run)),
    "retry": lambda runtime, run, _: runtime.retry_run(a_run(runtime, run)),
    "retry step": lambda runtime, run, _: runtime.retry_step(f"run:{run}", "plan"),
    "hold": lambda runtime, run, _: runtime.hold_step(f"run:{run}", "last"),
    "release": lambda runtime, run, _: runtime.release_step(f"run:{run}", "last"),
    "send": lambda runtime, run, call: runtime.send(f"run:{run}", "news", call),
    "approve": lambda runtime, run, _: runtime.approve(f"run:{run}", "ask"),
    "kv": lambda runtime, run, call: runtime.kv.set(KEYS[run % 4], call, expires_in=0.001),
    "queue": lambda runtime, _, call: runtime.define_queue(
        Queue("narrow", max_in_flight=4 + call % 3)
    ),
    "silent": lambda runtime, _run, _call: runtime.internals.store.forget_silent_workers(0),
    "others": lambda runtime, _run, _call: runtime.internals.store.release_others("nobody", []),
}
# These refuse mostly what is asked for; the others must have been done.
SELDOM = {"retry step", "hold", "release", "approve"}


def a_run(runtime: Runtime, number: int) -> str:
    """One of the latest runs, children among them."""
    runs = runtime.runs(limit=3 * RUNS)
    return runs[number % len(runs)].id if runs else "none"


class Operator(threading.Thread):
    """Does acts by chance until it is told to stop, on a connection of its own."""

    def __init__(self, url: str, seed: int, stop: threading.Event) -> None:
        super().__init__(name=f"operator-{seed}", daemon=True)
        self.done: Counter[str] = Counter()
        self.wrong: list[BaseException] = []
        self._url = url
        self._chance = random.Random(seed)
        self._stopped = stop

    def run(self) -> None:
        try:
            with connect(self._url, packages=[busy]) as runtime:
                for call in range(1_000_000):
                    if self._stopped.is_set():
                        return
                    self._act(runtime, call)
        except BaseException as error:
            self.wrong.append(error)

    def _act(self, runtime: Runtime, call: int) -> None:
        name = self._chance.choice(list(ACTS))
        try:
            ACTS[name](runtime, self._chance.randrange(RUNS), call)
        except StoreError:
            raise
        except StepwellError:
            return  # it cannot be done now
        self.done[name] += 1


@pytest.fixture
def server() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


@pytest.mark.timeout(600)
def test_no_two_acts_deadlock(server: OwnServer, scale: float) -> None:
    # given: two workers whose leases are renewed all the time, and people who do everything
    stop = threading.Event()
    operators = [Operator(server.url, seed, stop) for seed in range(OPERATORS)]
    with connect(server.url, packages=[busy]) as runtime:
        for number in range(RUNS):
            runtime.start_run("busy", number, run_id=f"run:{number}", entrypoint="start")
    settings: dict[str, Any] = {"lease": 2, "poll_interval": 0.05, "grace": 0}
    begun = time.monotonic()
    with ExitStack() as stack:
        for _ in range(2):
            runtime = stack.enter_context(connect(server.url, packages=[busy], settings=settings))
            stack.enter_context(runtime.worker())
        for operator in operators:
            operator.start()
        for operator in operators:
            stack.callback(operator.join)
        stack.callback(stop.set)

        # when: for a bounded time
        while time.monotonic() - begun < min(MOST_SECONDS, scale * SECONDS):
            with suppress(StepwellError):
                runtime.wait(f"run:{random.randrange(RUNS)}", timeout=1)
            stop.wait(0.1)

    # then: nobody was turned away, and each act was done
    assert not [error for operator in operators for error in operator.wrong]
    done = sum((operator.done for operator in operators), Counter[str]())
    assert {name for name in ACTS if not done[name]} <= SELDOM, done

    # and the server had no deadlock to break
    assert "deadlock detected" not in server.log()
    assert ask(server.url, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'") == [
        (0,)
    ]
    with connect(server.url, packages=[busy]) as runtime:
        assert runtime.verify().ok


def test_the_log_that_is_watched_tells_of_a_deadlock(server: OwnServer) -> None:
    """Else the test above would see none."""
    with psycopg.connect(server.url) as one, psycopg.connect(server.url) as other:
        one.execute("SELECT 1 FROM meta WHERE name = 'next_run' FOR UPDATE")
        other.execute("SELECT 1 FROM meta WHERE name = 'next_step' FOR UPDATE")

        def wait_for_one() -> None:
            with suppress(psycopg.errors.DeadlockDetected):
                other.execute("SELECT 1 FROM meta WHERE name = 'next_run' FOR UPDATE")

        waiting = threading.Thread(target=wait_for_one)
        waiting.start()
        with suppress(psycopg.errors.DeadlockDetected):
            one.execute("SELECT 1 FROM meta WHERE name = 'next_step' FOR UPDATE")
        one.rollback()
        waiting.join()

    assert "deadlock detected" in server.log()
