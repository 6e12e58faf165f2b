"""Features G11 to G16, through the public surface alone: work, operators, queues, events."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stepwell import (
    Event,
    EventType,
    NotFound,
    Queue,
    RefusedByState,
    Retry,
    Retryable,
    RunBuilder,
    Runtime,
    StepContext,
    VirtualClock,
    connect,
)
from tests.features.shop import TIMEOUT, package, work_off


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
        assert not runtime.start_run("shop", run_id="r1").started
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
