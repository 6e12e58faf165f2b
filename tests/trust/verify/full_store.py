"""A store with a bit of everything, made by the store's own operations on a virtual clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from stepwell.engine.clock import VirtualClock
from stepwell.engine.exchange import Several, Wait
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import (
    completed,
    failed,
    finished,
    new_artifact,
    new_message,
    new_record,
    new_run,
    new_step,
    on_failure,
    released,
    subtree,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR, Bench


def build(dialect: Dialect, clock: VirtualClock) -> None:
    """Fill the empty store behind `dialect`."""
    store = SqlRunStore.open(dialect)
    try:
        store.define_queues(
            [Queue(DEFAULT_QUEUE), Queue("narrow", max_in_flight=2, max_per_worker=2)]
        )
        clock.advance(timedelta(minutes=2))
        bench = Bench(store, clock)
        _grown(bench)
        _repeated(bench)
        _failed_and_retried(bench)
        _waiting(bench)
        _talking(bench)
        _canceled(bench)
        _held(bench)
        _open(bench)
    finally:
        store.close()


def _grown(bench: Bench) -> None:
    """`grown`: a step that was released, lost and retried emits; who waits for its subtree ran."""
    bench.create(new_step("root"), new_step("all", subtree("root")), id="grown")
    bench.settle(released(bench.claim_one()))
    bench.claim_one()
    bench.lapse()
    bench.settle(failed(bench.claim_one(), retry_in=timedelta(0)))
    late = bench.claim_one()
    bench.lapse()
    root = bench.claim_one()
    assert bench.settle(completed(late)).lost
    emitted = (new_step("leaf"), new_step("after", "leaf"))
    bench.complete(
        root,
        {"n": 1},
        records=(new_record("prices", "pen", 3),),
        artifacts=(new_artifact("inline", b"some bytes"),),
        emitted=emitted,
    )
    assert sorted(bench.work_off()) == ["after", "all", "leaf"]


def _repeated(bench: Bench) -> None:
    """`repeated`: a step emits one whose dedup key is taken; a join over it is made afterwards."""
    bench.create(
        new_step("first", dedup_key="k"), new_step("plan"), new_step("later"), id="repeated"
    )
    steps = bench.claim_by_id()
    bench.settle(completed(steps["plan"], emitted=(new_step("second", dedup_key="k"),)))
    join = new_step("join", subtree("plan"), queue="closed")
    bench.settle(completed(steps["later"], emitted=(join,)))
    bench.complete(steps["first"])


def _failed_and_retried(bench: Bench) -> None:
    """`failed` and `retried`: one stays as it failed, the other succeeded in the end."""
    for name in ("failed", "retried"):
        steps = (new_step("bad"), new_step("caught", on_failure("ok")), new_step("ok"))
        bench.create(*steps, new_step("then", "bad"), new_step("any", finished("bad")), id=name)
        bench.work_off("bad")
    bench.store.retry_run("retried", OPERATOR)
    bench.work_off()


def _waiting(bench: Bench) -> None:
    """`asleep`, `reader`, `parent` with `child`, `admirer`, `either` and `both`: each waits."""
    waits: dict[str, dict[str, Any]] = {
        "asleep": {"until": 2**52},
        "reader": {"topic": "mail", "kind": "message", "operation": "receive"},
        "parent": {"start": new_run("child", new_step("never", queue="closed"))},
        "admirer": {"value": ("grown", "colour"), "kind": "value", "operation": "get"},
    }
    for name, wait in waits.items():
        bench.create(new_step("w"), id=name)
        bench.settle(suspended(bench.claim_one(), **wait))
    letters = tuple(Wait(topic=topic, kind="message", operation=topic) for topic in ("p", "q"))
    for name, kind in (("either", "any"), ("both", "all")):
        bench.create(new_step("w"), id=name)
        wait = {"kind": kind, "operation": "wait", "several": Several(letters)}
        bench.settle(suspended(bench.claim_one(), **wait))


def _talking(bench: Bench) -> None:
    """`talker`: took one message of two, and set a value twice."""
    bench.create(new_step("t"), id="talker")
    for number in (1, 2):
        bench.store.send(new_message("talker", "mail", {"number": number}))
    step = bench.claim_one()
    assert bench.store.receive(step, "mail", "receive") == '{"number":1}'
    for number in (1, 2):
        bench.store.set_value(step, "state", str(number), f"set#{number}")
    bench.complete(step)


def _canceled(bench: Bench) -> None:
    """`canceled`: while one of its steps was running."""
    bench.create(new_step("a"), new_step("b", "a"), id="canceled")
    running = bench.claim_one()
    bench.store.cancel_run("canceled", OPERATOR)
    assert bench.settle(completed(running)).lost


def _held(bench: Bench) -> None:
    """`paused`, with a wait that stands still; `partly`, of which one step is held."""
    bench.create(new_step("sleeper"), id="paused")
    bench.settle(suspended(bench.claim_one(), until=2**52))
    bench.store.pause_run("paused", OPERATOR)
    bench.create(new_step("h"), id="partly")
    bench.store.hold_step("partly", "h", OPERATOR)


def _open(bench: Bench) -> None:
    """`busy`: two leases of the narrow queue are held, one step is ready, one pending."""
    narrow = (new_step(f"n{number}", queue="narrow") for number in range(3))
    bench.create(*narrow, new_step("last", "n0", "n1"), id="busy")
    assert len(bench.claim(queues=("narrow",))) == 2
