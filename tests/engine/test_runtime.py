"""The runtime's own part: checks of what it is given, and reading what there is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell.composition import connect
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import (
    Conflict,
    InvalidInput,
    InvalidPackage,
    InvalidPayload,
    InvalidSettings,
    NotFound,
    RefusedByState,
    RuntimeClosed,
    StoreError,
    WaitTimeout,
)
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import Queue
from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.settings import Settings
from stepwell.engine.step.context import StepContext
from stepwell.stores.opening import open_run_store

shop = Package("shop")


class Order(BaseModel):
    id: str
    items: list[str] = []


@shop.executor("price")
def price(step: StepContext, item: str) -> int:
    step.record("prices", item, len(item))
    step.artifact(f"{item}.txt", item)
    step.store_artifact("stored", item)
    return len(item)


@shop.executor("fails")
def fails() -> None:
    raise ValueError("no ink")


@shop.entrypoint
def start(run: RunBuilder, order: Order) -> None:
    run.name = f"order {order.id}"
    for item in order.items:
        run.step("fails" if item == "bad" else price, None if item == "bad" else item, id=item)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with connect("memory://", packages=[shop]) as runtime:
        yield runtime


def refusal(act: Callable[[], Any], error: type[Exception] = InvalidInput) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


class TestStarting:
    def test_handle(self, runtime: Runtime) -> None:
        run = runtime.start_run(
            shop,
            Order(id="o1", items=["pen"]),
            run_id="r1",
            name="mine",
            metadata={"k": 1},
            tags=["t"],
        )

        assert (run.id, run.package, run.name, run.status()) == ("r1", "shop", "mine", "pending")
        assert repr(run) == "<run r1 of shop>"
        stored = runtime.run("r1")
        assert (stored.input, stored.metadata, stored.tags) == (
            {"id": "o1", "items": ["pen"]},
            {"k": 1},
            ("t",),
        )

    def test_name_and_id_by_default(self, runtime: Runtime) -> None:
        run = runtime.start_run("shop", {"id": "o1", "items": ["pen"]})

        assert run.name == "order o1"
        assert len(run.id) == 18

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"package": "shpo"}, NotFound, "there is no package 'shpo'; did you mean 'shop'?"),
            ({"package": 7}, NotFound, "there is no package 7"),
            ({"input": None}, InvalidPayload, "input.id: field required"),
            ({"input": {"items": []}}, InvalidPayload, "input.id: field required"),
            (
                {"input": {"id": "o", "items": [1]}},
                InvalidPayload,
                "input.items[0]: input should be a valid string, got 1",
            ),
            ({"input": {"id": {1}}}, InvalidPayload, "input.id: input should be a valid string"),
            ({"input": {"id": "o"}}, InvalidInput, "'start' of package 'shop' made no step"),
            ({"run_id": ""}, InvalidInput, "run_id: must have 1 to 200 bytes"),
            ({"run_id": "a\0"}, InvalidInput, "run_id: 'a\\x00' has the unprintable character"),
            ({"name": ""}, InvalidInput, "name: must have 1 to 200 bytes"),
            ({"metadata": [1]}, InvalidInput, "metadata: must be a mapping, got [1]"),
            ({"tags": "urgent"}, InvalidInput, "tags: must be a list of strings, got 'urgent'"),
            ({"tags": [1]}, InvalidInput, "run.tags: must be a string, got int"),
            ({"entrypoint": "stop"}, NotFound, "has no entrypoint 'stop'; there is 'start'"),
        ],
        ids=lambda value: None,
    )
    def test_refused_and_nothing_stored(
        self, runtime: Runtime, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        given = {"package": "shop", "input": {"id": "o", "items": ["pen"]}, **options}

        assert message in refusal(lambda: runtime.start_run(**given), error)
        assert runtime.runs() == []

    def test_taken_id(self, runtime: Runtime) -> None:
        order = {"id": "o", "items": ["pen"]}
        runtime.start_run("shop", order, run_id="r")

        assert "run 'r' exists already" in refusal(
            lambda: runtime.start_run("shop", {**order, "id": "p"}, run_id="r"), Conflict
        )

    def test_without_any_package(self) -> None:
        with connect("memory://") as runtime:
            assert "none is registered" in refusal(lambda: runtime.start_run("shop"), NotFound)


class TestRegistering:
    def test_what_is_registered(self, runtime: Runtime) -> None:
        assert dict(runtime.packages) == {"shop": shop}
        assert {"price", "fails", "shell.run", "http.fetch", "run.start"} <= set(runtime.kinds)

    def test_executor_object_outside_of_packages(self, runtime: Runtime) -> None:
        class Shout:
            kind = "shout"

            def execute(self, step: StepContext) -> str:
                return step.input.upper()  # type: ignore[no-any-return]

        runtime.register_executor(Shout())
        package = Package("loud")

        @package.entrypoint
        def begin(run: RunBuilder) -> None:
            run.step("shout", "pen", id="s")

        runtime.register_package(package)
        runtime.register_package(package)
        run = runtime.start_run("loud")
        runtime.drain(run.id, timeout=20)

        assert runtime.result(run.id, "s").value == "PEN"
        assert "'shout' is registered twice" in refusal(
            lambda: runtime.register_executor(Shout()), InvalidPackage
        )
        assert "an executor needs" in refusal(
            lambda: runtime.register_executor(object()),  # type: ignore[arg-type]
            InvalidPackage,
        )

    def test_queue(self, runtime: Runtime) -> None:
        runtime.define_queue(Queue("mail", max_in_flight=2))

        assert [queue.name for queue in runtime.queues()] == ["default", "mail"]
        assert "queue.name" in refusal(lambda: runtime.define_queue(Queue("")))


class TestLooking:
    @pytest.fixture
    def run_id(self, runtime: Runtime) -> str:
        """A run in which pen and ink were priced and one step failed."""
        run = runtime.start_run("shop", {"id": "o", "items": ["pen", "ink", "bad"]}, tags=["t"])
        runtime.drain(run.id, timeout=20)
        return run.id

    def test_runs(self, runtime: Runtime, run_id: str) -> None:
        assert [run.id for run in runtime.runs()] == [run_id]
        assert [run.id for run in runtime.runs(status="failed", tag="t", package="shop")] == [
            run_id
        ]
        assert runtime.runs(name="other") == runtime.runs(before=run_id) == []
        assert [run.id for run in runtime.runs(prefix=run_id[:5])] == [run_id]
        assert runtime.runs(prefix="x") == []

    @pytest.mark.parametrize("limit", [0, True, 1.5, 1_000_001])
    def test_limit_out_of_range(self, runtime: Runtime, limit: Any) -> None:
        assert "limit: must be a whole number from 1 to 1000000" in refusal(
            lambda: runtime.runs(limit=limit)
        )

    @pytest.mark.parametrize("number", [-1, 2**63, 1.5, True, "1"])
    def test_other_numbers_out_of_range(self, runtime: Runtime, number: Any) -> None:
        for call in (
            lambda: runtime.steps("r", limit=number),
            lambda: runtime.events("r", after=number),
            lambda: runtime.events("r", limit=number),
        ):
            assert "must be a whole number from" in refusal(call)

    def test_unknown_status(self, runtime: Runtime, run_id: str) -> None:
        assert refusal(lambda: runtime.runs(status="faild")) == (
            "status: there is no status 'faild'; did you mean 'failed'?"
        )
        assert "did you mean 'skipped'?" in refusal(lambda: runtime.steps(run_id, status="skiped"))

    def test_steps(self, runtime: Runtime, run_id: str) -> None:
        assert [step.id for step in runtime.steps(run_id)] == ["pen", "ink", "bad"]
        assert [step.id for step in runtime.steps(run_id, status="failed")] == ["bad"]
        assert [step.id for step in runtime.steps(run_id, kind="price", limit=1)] == ["pen"]
        assert runtime.step(run_id, "pen").kind == "price"
        assert runtime.edges(run_id) == []
        progress = runtime.progress(run_id)
        assert (progress.total, progress.succeeded, progress.failed) == (3, 2, 1)

    def test_records(self, runtime: Runtime, run_id: str) -> None:
        assert runtime.records("shop", "prices") == {"pen": 3, "ink": 3}
        assert runtime.record("shop", "prices", "pen").step_id == "pen"
        assert refusal(lambda: runtime.record("shop", "prices", "pens"), NotFound) == (
            "there is no record 'pens' in 'shop/prices'; did you mean 'pen'?"
        )

    def test_artifacts(self, runtime: Runtime, run_id: str) -> None:
        inline, stored = runtime.artifacts(run_id, "pen")

        assert len(runtime.artifacts(run_id)) == 4
        for ref in (inline, stored):
            assert runtime.artifact(ref.id) == ref
            with runtime.open_artifact(ref.id) as stream:
                assert stream.read() == b"pen"
        assert (inline.uri is None, stored.uri is None) == (True, False)
        assert "no artifact 'x'" in refusal(lambda: runtime.open_artifact("x"), NotFound)

    def test_events(self, runtime: Runtime, run_id: str) -> None:
        events = runtime.events(run_id)

        assert [event.seq for event in runtime.events(run_id, after=2, limit=1)] == [3]
        assert str(events[-1].type) == "run.failed"

    def test_status(self, runtime: Runtime, run_id: str) -> None:
        status = runtime.status()

        assert (dict(status.runs), status.open_steps, status.workers) == ({"failed": 1}, 0, 0)
        assert status.store == "memory://"
        assert runtime.workers() == []

    def test_projection(self, runtime: Runtime) -> None:
        runtime.projection("sales").execute("CREATE TABLE x (y)")

        assert runtime.projection("sales").query("SELECT * FROM x") == []


class TestOperating:
    def test_retry_and_cancel(self, runtime: Runtime) -> None:
        run = runtime.start_run("shop", {"id": "o", "items": ["bad", "pen"]})
        runtime.drain(run.id, timeout=20)

        assert runtime.retry_step(run.id, "bad", by="ann", reason="new ink") == 1
        assert runtime.events(run.id)[-1].data["by"] == "ann"
        assert run.cancel(reason="enough") == 1
        assert runtime.retry_run(run.id) == 1
        assert run.status() == "running"

    def test_who_and_why_are_checked(self, runtime: Runtime) -> None:
        assert "by: must have 1 to 200 bytes" in refusal(lambda: runtime.cancel_run("r", by=""))
        for reason in (7, "x" * 2_001):
            assert "reason: must be text of at most 2000 characters" in refusal(
                lambda reason=reason: runtime.cancel_run("r", reason=reason)  # type: ignore[misc]
            )
        assert "reason: " in refusal(lambda: runtime.retry_run("r", reason="\ud800"))

    def test_refused_by_state(self, runtime: Runtime) -> None:
        run = runtime.start_run("shop", {"id": "o", "items": ["pen"]})
        runtime.drain(run.id, timeout=20)

        for act in (runtime.retry_run, runtime.cancel_run):
            refusal(lambda act=act: act(run.id), RefusedByState)  # type: ignore[misc]


class TestWaiting:
    def test_ended_elsewhere(self, runtime: Runtime) -> None:
        run = runtime.start_run("shop", {"id": "o", "items": ["pen"]})
        ended: list[Any] = []
        waiter = threading.Thread(target=lambda: ended.append(run.wait(20)))
        waiter.start()

        runtime.drain(run.id, timeout=20)
        waiter.join()

        assert [stored.status for stored in ended] == ["succeeded"]

    def test_woken_by_a_cancel(self, runtime: Runtime) -> None:
        run = runtime.start_run("shop", {"id": "o", "items": ["pen"]})
        run.cancel()

        assert run.wait().status == "canceled"

    def test_timeout_and_unknown_run(self, runtime: Runtime) -> None:
        run = runtime.start_run("shop", {"id": "o", "items": ["pen"]})

        assert "did not end within 0.01 s" in refusal(lambda: run.wait(0.01), WaitTimeout)
        assert "no run 'x'" in refusal(lambda: runtime.wait("x"), NotFound)


class TestClosing:
    def test_closed_runtime_refuses_work(self) -> None:
        runtime = connect("memory://", packages=[shop])
        runtime.close()
        runtime.close()

        for act in (
            lambda: runtime.start_run("shop", {"id": "o"}),
            runtime.run_once,
            runtime.drain,
        ):
            assert "the runtime is closed; connect() again" in refusal(act, RuntimeClosed)

    def test_what_cannot_be_closed_keeps_nothing_else_open(self) -> None:
        class Stubborn:
            def projection(self, name: str) -> Any: ...

            def close(self) -> None:
                raise OSError("the disk is gone")

        store = open_run_store("memory://", clock=SystemClock())
        runtime = connect(store, projections=Stubborn())

        with pytest.raises(OSError, match="the disk is gone"):
            runtime.close()

        with pytest.raises(RuntimeClosed):
            store.now()

    def test_background_worker_of_a_closed_runtime_stops(self) -> None:
        runtime = connect("memory://", packages=[shop])
        with runtime.worker():
            runtime.close()


class TestConnecting:
    def test_home_by_default(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with connect(packages=[shop]) as runtime:
            run = runtime.start_run("shop", {"id": "o", "items": ["pen"]})
            runtime.drain(run.id, timeout=20)
            assert runtime.home == ".stepwell"

        assert (tmp_path / ".stepwell" / "engine.db").exists()
        with connect(home=tmp_path / ".stepwell", packages=[shop]) as again:
            assert again.run(run.id).status == "succeeded"
            (stored,) = [ref for ref in again.artifacts(run.id) if ref.uri]
            with again.open_artifact(stored.id) as stream:
                assert stream.read() == b"pen"

    def test_settings_as_object_or_mapping(self) -> None:
        for settings in (Settings(threads=3), {"threads": 3}):
            with connect("memory://", settings=settings) as runtime:
                assert runtime.settings.threads == 3
        assert "settings.treads: unknown; did you mean 'threads'?" in refusal(
            lambda: connect("memory://", settings={"treads": 3}), InvalidSettings
        )

    def test_broken_package_closes_what_was_opened(self, tmp_path: Path) -> None:
        assert "has no entrypoint" in refusal(
            lambda: connect(f"sqlite:///{tmp_path}/x.db", packages=[Package("empty")]),
            InvalidPackage,
        )

    def test_home_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        assert "cannot make the folder" in refusal(
            lambda: connect(home=tmp_path / "file" / "home"), StoreError
        )

    @pytest.mark.parametrize("part", ["artifacts", "projections"])
    def test_places(self, tmp_path: Path, part: str) -> None:
        for url in ("memory://", f"file:///{tmp_path}/{part}"):
            connect("memory://", **{part: url}).close()  # type: ignore[arg-type]
        refused = refusal(
            lambda: connect("memory://", **{part: "s3://x"})  # type: ignore[arg-type]
        )
        assert refused.startswith(f"{part}: unknown kind of URL 's3'; there is 'file', 'memory'")
