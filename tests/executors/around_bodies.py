"""A package whose bodies tell what is around them, and wrappers for them; children import both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal

from stepwell import Package, RunBuilder, StepContext

POOLS = ("inline", "thread", "asyncio", "process")
SPAN: ContextVar[str] = ContextVar("span", default="none")

spans = Package("spans")


@contextmanager
def span(step: StepContext) -> Iterator[None]:
    token = SPAN.set(f"{SPAN.get()}/{step.step.id}")
    try:
        yield
    finally:
        SPAN.reset(token)  # refused in other context variables than those that it was set in


@contextmanager
def strict(step: StepContext) -> Iterator[None]:
    yield
    raise ValueError(f"{step.step.id} is not allowed here")


def plain(amount: str) -> str:
    return f"{SPAN.get()} {Decimal(amount)}"


async def coroutine(amount: str) -> str:
    return plain(amount)


@spans.executor("spans.plain.process", pool="process")
def plain_in_a_child(amount: str) -> str:
    return plain(amount)


@spans.executor("spans.coroutine.process", pool="process")
async def coroutine_in_a_child(amount: str) -> str:
    return await coroutine(amount)


for pool in POOLS[:3]:
    spans.executor(f"spans.plain.{pool}", pool=pool)(plain)
    spans.executor(f"spans.coroutine.{pool}", pool=pool)(coroutine)


@spans.entrypoint
def start(run: RunBuilder, kinds: list[str]) -> None:
    for kind in kinds:
        run.step(kind, "1", id=kind.removeprefix("spans."))
