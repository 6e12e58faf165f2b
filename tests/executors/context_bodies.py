"""Executors that leave things in their context variables, for tests that look who finds them."""

from __future__ import annotations

import asyncio
import decimal
from contextvars import ContextVar
from typing import Any

from stepwell import Package, Retry, Retryable, RunBuilder, StepContext
from tests.executors import decimal_context

TRACE: ContextVar[str] = ContextVar("trace", default="none")
CALLED: ContextVar[str] = ContextVar("called", default="none")

contexts = Package("contexts")

Found = tuple[str, int]


def found() -> Found:
    return TRACE.get(), decimal.getcontext().prec


def leave(name: str) -> None:
    TRACE.set(name)
    decimal.getcontext().prec = 5


def look_and_leave(step: StepContext, name: str) -> Found:
    before = found()
    leave(name)
    assert found() == (name, 5)
    return before


async def look_leave_and_wait(step: StepContext, name: str) -> Found:
    before = found()
    leave(name)
    await asyncio.sleep(0)
    assert found() == (name, 5)
    return before


async def in_threads_of_the_loop(step: StepContext, name: str) -> list[Found]:
    """What a function in a thread of the loop finds, twice; it leaves something there, too."""
    loop, seen = asyncio.get_running_loop(), []
    for _ in range(2):
        seen.append(await loop.run_in_executor(None, found))
        await loop.run_in_executor(None, leave, "in a thread")
    return seen


for _pool in ("inline", "thread", "asyncio"):
    contexts.executor(f"plain.{_pool}", pool=_pool)(look_and_leave)
    contexts.executor(f"coroutine.{_pool}", pool=_pool)(look_leave_and_wait)
for _pool in ("thread", "asyncio"):
    contexts.executor(f"loop.{_pool}", pool=_pool)(in_threads_of_the_loop)


@contexts.executor("plain.process", pool="process")
def plain_in_a_child(step: StepContext, name: str) -> Found:
    return look_and_leave(step, name)


@contexts.executor("coroutine.process", pool="process")
async def coroutine_in_a_child(step: StepContext, name: str) -> Found:
    return await look_leave_and_wait(step, name)


@contexts.executor("contexts.again", retry=Retry(max_attempts=2, initial=0))
def again(step: StepContext, name: str) -> Found:
    before = look_and_leave(step, name)
    if step.attempt == 1:
        raise Retryable("once_more", "the second attempt looks what the first left")
    return before


class ForkAware(ValueError):
    """Its text leaves something behind, too."""

    def __str__(self) -> str:
        TRACE.set("from the text of an error")
        return "told"


@contexts.executor("contexts.fails", pool="thread")
def fails(step: StepContext, name: str) -> None:
    raise ForkAware


@contexts.executor("contexts.beside", pool="thread")
def beside(step: StepContext, name: str) -> list[Any]:
    TRACE.set(name)
    return [step.do_async("look", TRACE.get).result(), step.do("now", TRACE.get)]


@contexts.executor("contexts.child", pool="process")
def child(step: StepContext, name: str) -> int:
    return decimal_context.digits()


@contexts.entrypoint
def start(run: RunBuilder, kinds: list[str]) -> None:
    for number, kind in enumerate(kinds):
        run.step(kind, f"body {number}", id=f"s{number}", allow_failure=True)
