"""One test for each feature of the heart, G1 to G16, through the public surface alone."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import (
    Conflict,
    Dependency,
    Event,
    EventType,
    InvalidGraph,
    InvalidPackage,
    InvalidPayload,
    NotFound,
    Package,
    Permanent,
    Queue,
    RefusedByState,
    Retry,
    Retryable,
    RetryAfter,
    RunBuilder,
    RunHandle,
    Runtime,
    StepContext,
    StepError,
    StepHandle,
    VirtualClock,
    connect,
)

TIMEOUT = 20.0


class Order(BaseModel):
    id: str
    items: list[str] = []


class Price(BaseModel):
    item: str
    cents: int


def package(build: Callable[..., None], name: str = "shop", **options: Any) -> Package:
    """A package with this entrypoint."""
    made = Package(name, **options)
    made.entrypoint(name="start")(build)
    return made


def work_off(runtime: Runtime, input: Any = None, **options: Any) -> RunHandle[Any]:
    """Start a run of the runtime's only package and work until it ends."""
    (name,) = runtime.packages
    run = runtime.start_run(name, input, **options)
    runtime.drain(run.id, timeout=TIMEOUT)
    return run


def test_g1_package_with_name_title_and_entrypoint() -> None:
    shop = Package("shop", title="Web shop")

    @shop.executor("shop.total")
    def total(order: Order) -> int:
        return len(order.items)

    with pytest.raises(InvalidPackage, match="package 'shop' has no entrypoint"):
        connect("memory://", packages=[shop])

    @shop.entrypoint
    def start(run: RunBuilder, order: Order) -> None:
        run.step(total, order, id="total")

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime, Order(id="o1", items=["pen", "ink"]))
        assert (shop.name, shop.title, run.package) == ("shop", "Web shop", "shop")
        assert runtime.result(run.id, "total").value == 2

    for name in ("", "two words", None):
        with pytest.raises(InvalidPackage, match=r"package\.name"):
            Package(name)  # type: ignore[arg-type]  # refused, whatever it is


def test_g2_typed_entrypoint_decodes_its_input_before_it_runs() -> None:
    seen: list[Any] = []

    def start(run: RunBuilder, order: Order) -> None:
        seen.append((order, json.loads(run.raw_input), run.input))
        run.step("nothing")

    shop = package(start)
    shop.executor("nothing")(lambda: None)
    with connect("memory://", packages=[shop]) as runtime:
        work_off(runtime, {"id": "o1", "items": ["pen"]})
        raw = {"id": "o1", "items": ["pen"]}
        assert seen == [(Order(id="o1", items=["pen"]), raw, raw)]

        with pytest.raises(InvalidPayload, match=r"^input\.items\[1\]: .* string, got 7$"):
            runtime.start_run("shop", {"id": "o2", "items": ["pen", 7]})
        with pytest.raises(InvalidPayload, match=r"^input\.id: field required$"):
            runtime.start_run("shop", {})
        assert len(seen) == len(runtime.runs()) == 1


def test_g3_run_builder_names_labels_and_adds_steps() -> None:
    def start(run: RunBuilder, count: int) -> None:
        run.name = "nightly"
        run.metadata["requested_by"] = "ann"
        handles = [run.step("nothing") for _ in range(count)]
        assert all(isinstance(handle, StepHandle) for handle in handles)

    shop = package(start)
    shop.executor("nothing")(lambda: None)
    with connect("memory://", packages=[shop]) as runtime:
        run = runtime.start_run("shop", 3)
        stored = runtime.run(run.id)
        assert (stored.name, stored.metadata) == ("nightly", {"requested_by": "ann"})
        ids = [step.id for step in runtime.steps(run.id)]
        assert ids == ["nothing:1", "nothing:2", "nothing:3"]

        with pytest.raises(InvalidGraph, match=r"made no step; call run\.step"):
            runtime.start_run("shop", 0)


def test_g4_dependencies_by_handle_id_and_condition() -> None:
    order: list[str] = []

    def start(run: RunBuilder) -> None:
        first = run.step("note", id="first")
        bad = run.step("fails", id="bad", allow_failure=True)
        run.step("note", id="by-handle", after=[first])
        run.step("note", id="by-id", after="by-handle")
        run.step("note", id="required", after=bad)
        run.step("note", id="optional", after=Dependency(bad, "finished"))
        run.step("note", id="catch", after=[Dependency("bad", "failed")])
        run.step("note", id="otherwise", after=[Dependency(first, "failed")])

    shop = package(start)

    @shop.executor("note", pool="inline")
    def note(step: StepContext) -> None:
        order.append(step.step.id)

    @shop.executor("fails")
    def fails() -> None:
        raise Permanent("bad")

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime)
        statuses = {step.id: str(step.status) for step in runtime.steps(run.id)}

    assert order.index("first") < order.index("by-handle") < order.index("by-id")
    assert statuses == {
        "first": "succeeded",
        "bad": "failed",
        "by-handle": "succeeded",
        "by-id": "succeeded",
        "required": "canceled",
        "optional": "succeeded",
        "catch": "succeeded",
        "otherwise": "skipped",
    }


def test_g5_step_options() -> None:
    def start(run: RunBuilder) -> None:
        first = run.step("note", id="first", dedup_key="once", metadata={"k": 1})
        again = run.step("note", id="again", dedup_key="once")
        assert again == first
        run.step(
            "note",
            {"n": 1},
            id="second",
            after=first,
            queue="slow",
            retry=Retry(max_attempts=7),
            timeout=timedelta(seconds=5),
            priority=-2,
        )
        run.step("emits", id="emits")

    shop = package(start, queues=[Queue("slow")])
    shop.executor("note")(lambda number=None: None)

    @shop.executor("emits")
    def emits(step: StepContext) -> None:
        step.emit("note", id="child")
        step.emit("note", id="not-again", dedup_key="once")

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime)
        steps = {step.id: step for step in runtime.steps(run.id)}

    assert list(steps) == ["first", "second", "emits", "child"]
    second = steps["second"]
    assert (second.kind, second.queue, second.priority) == ("note", "slow", -2)
    assert (second.max_attempts, second.timeout) == (7, timedelta(seconds=5))
    assert (steps["first"].metadata, steps["first"].dedup_key) == ({"k": 1}, "once")
    assert {step.package for step in steps.values()} == {"shop"}
    assert (steps["child"].parent, second.parent) == ("emits", None)


def test_g6_executors_in_every_shape_and_no_kind_twice() -> None:
    def start(run: RunBuilder) -> None:
        for kind in ("untyped", "typed", "coroutine", "object"):
            run.step(kind, {"item": "pen", "cents": 5}, id=kind)

    shop = package(start)

    @shop.executor("untyped")
    def untyped(step, value):  # type: ignore[no-untyped-def]
        return value["cents"]

    @shop.executor("typed")
    def typed(price: Price) -> Price:
        return Price(item=price.item, cents=price.cents * 2)

    @shop.executor("coroutine")
    async def coroutine(price: Price) -> str:
        await asyncio.sleep(0)
        return price.item

    @dataclass
    class Shout:
        kind: str = "object"

        def execute(self, step: StepContext) -> str:
            return str(step.input["item"]).upper()

    assert typed(Price(item="pen", cents=1)).cents == 2  # still a function
    with connect("memory://", packages=[shop]) as runtime:
        runtime.register_executor(Shout())
        run = work_off(runtime)
        values = {step.id: runtime.result(run.id, step.id).value for step in runtime.steps(run.id)}
        assert values == {
            "untyped": 5,
            "typed": {"item": "pen", "cents": 10},
            "coroutine": "pen",
            "object": "PEN",
        }
        assert {"untyped", "typed", "coroutine", "object"} <= set(runtime.kinds)
        for twice in (Shout(), Shout("typed")):
            with pytest.raises(InvalidPackage, match="is registered twice"):
                runtime.register_executor(twice)


def test_g7_step_context(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def start(run: RunBuilder) -> None:
        first = run.step("price", "pen", id="price")
        run.step("look", {"n": 1}, id="look", after=first)

    shop = package(start)

    @shop.executor("price")
    def price(step: StepContext, item: str) -> None:
        step.result(Price(item=item, cents=7))

    @shop.executor("look")
    async def look(step: StepContext, value: dict[str, int]) -> str:
        seen.update(
            run=step.run.id,
            step=step.step.id,
            lease=step.lease.step_id,
            token=step.lease.token,
            attempt=step.attempt,
            now=step.now,
            input=step.input,
            raw_input=step.raw_input,
            dependency=step.dependency("price", Price),
            dependencies=step.dependencies(),
            status=step.dependency_result("price").status,
            key=step.idempotency_key,
            cancelled=step.cancelled,
        )
        step.logger.info("looking")
        step.record("prices", "pen", {"cents": 7})
        step.artifact("small.txt", "small", kind="note", metadata={"k": 1})
        step.store_artifact("large.bin", io.BytesIO(b"\0" * 200_000))
        step.projection("sales").once(lambda tx: tx.execute("CREATE TABLE sales (item TEXT)"))
        step.emit("price", "ink", id="more")
        return "seen"

    clock = VirtualClock(datetime(2031, 5, 6, tzinfo=UTC))
    with connect(packages=[shop], home=tmp_path, clock=clock) as runtime:
        run = work_off(runtime)
        assert seen == {
            "run": run.id,
            "step": "look",
            "lease": "look",
            "token": 1,
            "attempt": 1,
            "now": datetime(2031, 5, 6, tzinfo=UTC),
            "input": {"n": 1},
            "raw_input": '{"n":1}',
            "dependency": Price(item="pen", cents=7),
            "dependencies": {"price": {"item": "pen", "cents": 7}},
            "status": "succeeded",
            "key": f"{run.id}/look",
            "cancelled": False,
        }
        result = runtime.result(run.id, "look")
        assert (result.value, result.emitted) == ("seen", ("more",))
        assert [(ref.collection, ref.key) for ref in result.records] == [("prices", "pen")]
        small, large = result.artifacts
        assert (small.name, small.kind, small.metadata) == ("small.txt", "note", {"k": 1})
        assert (small.uri, large.size) == (None, 200_000)
        assert runtime.projection("sales").query("SELECT * FROM sales") == []
        assert runtime.result(run.id, "more").value == {"item": "ink", "cents": 7}


def test_g8_errors_with_code_details_and_cause() -> None:
    errors = {
        "plain": StepError("no_ink", "the ink is out", details={"colour": "blue"}),
        "permanent": Permanent("gone", "it is gone"),
        "retryable": Retryable("busy", "come back"),
        "later": RetryAfter(timedelta(0), "throttled"),
        "any": ValueError("a plain one"),
    }

    def start(run: RunBuilder) -> None:
        for name in errors:
            policy = Retry(max_attempts=2, initial=0) if name != "any" else None
            run.step("raise", name, id=name, retry=policy)

    shop = package(start)

    @shop.executor("raise")
    def fail(name: str) -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise errors[name] from inner

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime)
        steps = {step.id: step for step in runtime.steps(run.id)}

    found = {name: step.error for name, step in steps.items()}
    assert {name: error.code for name, error in found.items() if error} == {
        "plain": "no_ink",
        "permanent": "gone",
        "retryable": "busy",
        "later": "throttled",
        "any": "ValueError",
    }
    plain = found["plain"]
    assert plain is not None
    assert (plain.message, plain.details) == ("the ink is out", {"colour": "blue"})
    assert "KeyError: 'inner'" in (plain.cause or "")
    assert {name: step.attempt for name, step in steps.items()} == {
        "plain": 2,
        "permanent": 1,
        "retryable": 2,
        "later": 2,
        "any": 1,
    }


def test_g9_artifact_store(tmp_path: Path) -> None:
    def start(run: RunBuilder) -> None:
        run.step("store", id="store")
        run.step("escape", id="escape")

    shop = package(start)

    @shop.executor("store")
    def store(step: StepContext) -> None:
        for name in ("one", "two"):
            step.store_artifact(name, b"the same bytes", content_type="text/plain")

    @shop.executor("escape")
    def escape(step: StepContext) -> None:
        step.store_artifact("../../etc/passwd", b"")

    folder = tmp_path / "bytes"
    with connect("memory://", packages=[shop], artifacts=f"file:///{folder}") as runtime:
        run = work_off(runtime)
        one, two = runtime.artifacts(run.id)
        assert (one.sha256, one.uri, one.size) == (two.sha256, two.uri, 14)
        assert one.uri is not None
        assert one.uri.startswith("file://")
        with runtime.open_artifact(one.id) as stream:
            assert stream.read() == b"the same bytes"
        stored = [path for path in folder.rglob("*") if path.is_file()]
        assert [path.read_bytes() for path in stored] == [b"the same bytes"]
        error = runtime.result(run.id, "escape").error
        assert error is not None
        assert "looks like a path" in error.message


def test_g10_projection_store(tmp_path: Path) -> None:
    def start(run: RunBuilder) -> None:
        run.step("sell", "pen", id="sell")

    shop = package(start)

    @shop.executor("sell", retry=Retry(initial=0))
    def sell(step: StepContext, item: str) -> bool:
        sales = step.projection("sales")
        sales.execute("CREATE TABLE IF NOT EXISTS sales (item TEXT)")
        fresh = sales.once(lambda tx: tx.execute("INSERT INTO sales VALUES (?)", (item,)))
        if step.attempt == 1:
            raise Retryable("after_the_write")
        return fresh

    with connect(packages=[shop], home=tmp_path) as runtime:
        run = work_off(runtime)
        rows = runtime.projection("sales").query("SELECT item, count(*) AS sold FROM sales")
        assert rows == [{"item": "pen", "sold": 1}]
        assert runtime.result(run.id, "sell").value is False
        assert runtime.projection("other").query("SELECT name FROM sqlite_schema") != rows
    files = [path.name for path in (tmp_path / "projections").glob("*.db")]
    assert len(files) == 2


def test_g11_runtime(tmp_path: Path) -> None:
    def start(run: RunBuilder) -> None:
        run.step("fine", id="fine")
        run.step("bad", id="bad")
        run.step("again", id="again")

    shop = package(start)
    shop.executor("fine")(lambda: "fine")

    @shop.executor("bad")
    def bad() -> None:
        raise ValueError

    @shop.executor("again", retry=Retry(initial=60))
    def again(step: StepContext) -> int:
        if step.attempt == 1:
            raise ValueError
        return step.attempt

    clock = VirtualClock()
    url = f"sqlite:///{tmp_path}/engine.db"
    with connect(url, packages=[shop], home=tmp_path, clock=clock) as runtime:
        run = runtime.start_run("shop", run_id="r1", name="first", metadata={"k": 1})
        with pytest.raises(Conflict):
            runtime.start_run("shop", run_id="r1")
        cycle = runtime.run_once()
        assert (cycle.processed, cycle.succeeded, cycle.failed, cycle.retried) == (3, 1, 1, 1)
        clock.advance(timedelta(minutes=2))
        runtime.start_workers(max_cycles=1, poll_interval=0.01)
    with connect(url, packages=[shop], home=tmp_path, clock=clock) as runtime:
        runtime.drain(run.id, timeout=TIMEOUT)
        stored = runtime.run("r1")
        assert (stored.name, stored.metadata, stored.status) == ("first", {"k": 1}, "failed")
        assert runtime.result("r1", "fine").value == "fine"
        assert runtime.result("r1", "again").value == 2
        with pytest.raises(NotFound, match="no run 'r2'"):
            runtime.run("r2")
        stop = threading.Event()
        stop.set()
        runtime.start_workers(stop=stop)


def test_g12_operator_retries_and_cancels() -> None:
    broken, begun, told = threading.Event(), threading.Event(), threading.Event()
    broken.set()

    def start(run: RunBuilder, kind: str) -> None:
        first = run.step(kind, id="first")
        run.step("note", id="second", after=first)

    shop = package(start)
    shop.executor("note")(lambda: "noted")

    @shop.executor("mended")
    def mended() -> str:
        if broken.is_set():
            raise ValueError
        return "mended"

    @shop.executor("long")
    def long(step: StepContext) -> str:
        step.on_cancel(told.set)
        begun.set()
        assert told.wait(TIMEOUT)
        return f"cancelled: {step.cancelled}"

    with connect("memory://", packages=[shop]) as runtime, runtime.worker():
        run = runtime.start_run("shop", "mended")
        assert run.wait(TIMEOUT).status == "failed"
        assert runtime.step(run.id, "second").status == "canceled"
        assert runtime.retry_step(run.id, "first", by="ann", reason="hope") == 2
        assert run.wait(TIMEOUT).status == "failed"
        broken.clear()
        assert runtime.retry_run(run.id, by="ann", reason="new ink") == 2
        assert run.wait(TIMEOUT).status == "succeeded"
        with pytest.raises(RefusedByState):
            runtime.retry_run(run.id)
        acts = [e for e in runtime.events(run.id) if "by" in e.data]
        assert [(str(e.type), e.data["by"], e.data["reason"]) for e in acts] == [
            ("step.retried", "ann", "hope"),
            ("run.retried", "ann", "new ink"),
        ]

        run = runtime.start_run("shop", "long")
        assert begun.wait(TIMEOUT)
        assert run.cancel(reason="enough") == 2
        assert told.wait(TIMEOUT)
        assert run.wait(TIMEOUT).status == "canceled"
        assert runtime.result(run.id, "first").value is None


def test_g13_queues_hold_across_connections(tmp_path: Path) -> None:
    def start(run: RunBuilder) -> None:
        for _ in range(6):
            run.step("slow", queue="narrow")
            run.step("quick", queue="metered")

    most, running, lock = [0], [0], threading.Lock()
    shop = package(
        start,
        queues=[
            Queue("narrow", max_in_flight=2),
            Queue("metered", rate_limit=1, rate_period=timedelta(hours=1), burst=3),
        ],
    )

    @shop.executor("slow")
    def slow() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with lock:
            running[0] -= 1

    shop.executor("quick")(lambda: None)
    clock, url = VirtualClock(), f"sqlite:///{tmp_path}/engine.db"

    def quick_ones(runtime: Runtime, run: str) -> int:
        while runtime.run_once().processed:
            pass
        return len(runtime.steps(run, kind="quick", status="succeeded"))

    with connect(url, packages=[shop], clock=clock, home=tmp_path) as runtime:
        run = runtime.start_run("shop").id
        assert quick_ones(runtime, run) == 3
        assert len(runtime.steps(run, kind="slow", status="succeeded")) == 6
        assert 1 <= most[0] <= 2
    with connect(url, packages=[shop], clock=clock, home=tmp_path) as runtime:
        assert quick_ones(runtime, run) == 3
        clock.advance(timedelta(hours=2))
        assert quick_ones(runtime, run) == 5
        metered = next(queue for queue in runtime.queues() if queue.name == "metered")
        assert (metered.ready, metered.tokens) == (1, 0)


def test_g14_retry_policies() -> None:
    policies = {
        "fixed": Retry(max_attempts=3, wait="fixed", initial=10, jitter=0),
        "linear": Retry(max_attempts=4, wait="linear", initial=10, maximum=25, jitter=0),
        "exponential": Retry(max_attempts=4, initial=10, multiplier=3, maximum=60, jitter=0),
        "never": Retry(max_attempts=4, retry_on=[KeyError]),
        "jittered": Retry(max_attempts=2, wait="fixed", initial=10, jitter=0.5),
    }

    def start(run: RunBuilder) -> None:
        for name, policy in policies.items():
            run.step("fails", id=name, retry=policy)

    shop = package(start)

    @shop.executor("fails", pool="inline")
    def fails() -> None:
        raise ValueError

    clock = VirtualClock()
    with connect("memory://", packages=[shop], clock=clock) as runtime:
        run = runtime.start_run("shop")
        for _ in range(400):
            runtime.run_once()
            clock.advance(timedelta(seconds=1))
        assert run.status() == "failed"
        waits: dict[str, list[float]] = {name: [] for name in policies}
        for event in runtime.events(run.id):
            if event.type is EventType.STEP_RETRYING and event.step_id is not None:
                waits[event.step_id].append(event.data["retry_in"])

    (jittered,) = waits.pop("jittered")
    assert 10 <= jittered <= 15
    assert waits == {
        "fixed": [10, 10],
        "linear": [10, 20, 25],
        "exponential": [10, 30, 60],
        "never": [],
    }


def test_g15_events_go_to_observers() -> None:
    def start(run: RunBuilder) -> None:
        run.step("flaky", id="flaky")

    shop = package(start)

    @shop.executor("flaky", retry=Retry(initial=0))
    def flaky(step: StepContext) -> None:
        if step.attempt == 1:
            raise Retryable("busy")

    def fails(event: Event) -> None:
        raise ValueError(event)

    seen: list[Event] = []
    with connect("memory://", packages=[shop]) as runtime:
        runtime.observe(fails)
        stop = runtime.observe(seen.append)
        run = work_off(runtime)
        stop()
        work_off(runtime)
        stored = runtime.events(run.id)

    assert [str(event.type) for event in seen] == [
        "run.created",
        "worker.started",
        "run.started",
        "step.started",
        "step.retrying",
        "step.started",
        "step.succeeded",
        "run.succeeded",
        "worker.stopped",
    ]
    assert [event for event in seen if event.seq is not None] == stored
    assert [event.seq for event in stored] == [1, 2, 3, 4, 5]


class Page(BaseHTTPRequestHandler):
    """Serves one page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"hello from the page")

    def log_message(self, format: str, *args: Any) -> None: ...


def test_g16_fetch_status_queues_and_artifacts(tmp_path: Path) -> None:
    def start(run: RunBuilder, url: str) -> None:
        run.step("http.fetch", {"url": url}, id="fetch")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        with connect(packages=[package(start)], home=tmp_path) as runtime:
            run = work_off(runtime, url)
            assert run.status() == "succeeded", runtime.result(run.id, "fetch").error
            assert runtime.result(run.id, "fetch").value["status"] == 200
            (body,) = runtime.artifacts(run.id)
            with runtime.open_artifact(body.id) as stream:
                assert stream.read() == b"hello from the page"
            assert dict(runtime.status().runs) == {"succeeded": 1}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    def told(*command: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "stepwell", "--home", str(tmp_path), "--json", *command],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    assert "succeeded" in json.dumps(told("status"))
    assert "default" in json.dumps(told("queues"))
    assert body.id in json.dumps(told("artifacts", run.id))
