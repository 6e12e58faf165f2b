"""Features G7 to G10, through the public surface alone: what a step's body has and raises."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stepwell import (
    Permanent,
    Retry,
    Retryable,
    RetryAfter,
    RunBuilder,
    StepContext,
    StepError,
    VirtualClock,
    connect,
)
from tests.features.shop import Price, package, work_off


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
