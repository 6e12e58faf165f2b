"""What is entered around bodies, in every pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell import InvalidInput, Package, Retry, RunBuilder, Runtime, StepContext, connect
from tests.executors.around_bodies import POOLS, span, spans, strict

PATIENCE = 60
IN_THIS_PROCESS = POOLS[:3]


def results(runtime: Runtime, *kinds: str) -> list[Any]:
    run = runtime.start_run("spans", list(kinds))
    runtime.drain(run.id, timeout=PATIENCE)
    return [runtime.result(run.id, kind.removeprefix("spans.")) for kind in kinds]


@pytest.fixture
def open_spans(tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    opened: list[Runtime] = []

    def open_it(*around: Any) -> Runtime:
        opened.append(connect(home=tmp_path, packages=[spans], around=around))
        return opened[-1]

    yield open_it
    for runtime in opened:
        runtime.close()


@pytest.mark.parametrize("pool", POOLS)
def test_each_body_runs_within_it_in_the_variables_of_the_body(
    open_spans: Callable[..., Runtime], pool: str
) -> None:
    runtime = open_spans(span)

    found = results(runtime, f"spans.plain.{pool}", f"spans.coroutine.{pool}")

    assert [(result.error, result.value) for result in found] == [
        (None, f"none/plain.{pool} 1"),
        (None, f"none/coroutine.{pool} 1"),
    ]


@pytest.mark.parametrize("pool", POOLS)
def test_its_error_is_the_attempts(open_spans: Callable[..., Runtime], pool: str) -> None:
    runtime = open_spans(strict)

    (found,) = results(runtime, f"spans.plain.{pool}")

    assert (found.error.code, found.error.message) == (
        "ValueError",
        f"plain.{pool} is not allowed here",
    )


def test_one_that_a_child_cannot_be_given_fails_the_steps_of_children_alone(
    open_spans: Callable[..., Runtime],
) -> None:
    @contextmanager
    def local(step: StepContext) -> Iterator[None]:
        yield

    found = results(open_spans(local), "spans.plain.thread", "spans.plain.process")

    assert [result.error is None for result in found] == [True, False]
    assert found[1].error.code == "process_start"
    assert "use a function at the top level of a module" in found[1].error.message


class Log:
    """Wrappers that write down when they are entered and left."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def around(self, name: str, *, swallows: bool = False) -> Callable[[StepContext], Any]:
        @contextmanager
        def wrapper(step: StepContext) -> Iterator[None]:
            self.lines.append(f"{name} before {step.step.id}.{step.attempt}")
            try:
                yield
            except BaseException as error:
                self.lines.append(f"{name} after {type(error).__name__}")
                if not swallows:
                    raise
            else:
                self.lines.append(f"{name} after")

        return wrapper


def run_body(
    body: Callable[..., Any], *around: Any, pool: str = "inline", **options: Any
) -> tuple[Any, Any]:
    """The value and the error of a step with this body."""
    package = Package("p")
    package.executor("k", pool=pool, **options)(body)

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        run.step("k", id="s")

    with connect("memory://", packages=[package], around=around) as runtime:
        run = runtime.start_run("p")
        runtime.drain(run.id, timeout=PATIENCE)
        result = runtime.result(run.id, "s")
        return result.value if result.error is None else None, result.error


@pytest.mark.parametrize("pool", IN_THIS_PROCESS)
def test_the_first_is_the_outermost(pool: str) -> None:
    log = Log()

    async def body() -> None:
        await asyncio.sleep(0)
        log.lines.append("body")

    run_body(body, log.around("outer"), log.around("inner"), pool=pool)

    assert log.lines == [
        *("outer before s.1", "inner before s.1", "body"),
        *("inner after", "outer after"),
    ]


@pytest.mark.parametrize("pool", IN_THIS_PROCESS)
def test_an_error_that_one_swallows_fails_the_attempt_all_the_same(pool: str) -> None:
    log = Log()

    def body() -> None:
        raise ValueError("no ink")

    _, error = run_body(body, log.around("a", swallows=True), pool=pool)

    assert (error.code, error.message) == ("ValueError", "no ink")


def test_those_that_were_entered_are_left_when_the_next_one_fails() -> None:
    log, ran = Log(), []

    def broken(step: StepContext) -> Any:
        raise RuntimeError("no tracer")

    _, error = run_body(lambda: ran.append(1), log.around("outer", swallows=True), broken)

    assert error.message == "no tracer"
    assert log.lines == ["outer before s.1", "outer after RuntimeError"]
    assert ran == []


def test_each_attempt_is_entered_anew_and_a_wait_is_no_success() -> None:
    # given a body that waits once, and fails once after that
    log = Log()

    def body(step: StepContext) -> str:
        step.sleep(timedelta(milliseconds=1))
        if step.attempt == 1:
            raise ValueError("again")
        return "done"

    # when
    retry = Retry(max_attempts=2, initial=0, jitter=0)
    value, _ = run_body(body, log.around("a", swallows=True), retry=retry)

    # then
    assert value == "done"
    assert log.lines[0] == "a before s.1"
    assert log.lines[-2:] == ["a before s.2", "a after"]
    assert "a after Suspend" in log.lines
    assert "a after ValueError" in log.lines


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"around\[1\]: must be a function .* got 'tracing'"):
        connect("memory://", around=[span, "tracing"])  # type: ignore[list-item]  # refused
