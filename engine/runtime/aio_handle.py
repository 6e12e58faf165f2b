"""The handle of a started run, for asyncio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from stepwell.engine.durations import Duration
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.model import Run
from stepwell.engine.runtime.aio_bridge import Bridge
from stepwell.engine.runtime.awaitable import Awaitable
from stepwell.engine.states import RunStatus

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Handle(Protocol[R_co]):
    """What `AioHandle` needs of a `RunHandle`."""

    id: str

    def status(self) -> RunStatus: ...
    def wait(self, timeout: Duration | None = None) -> Run: ...
    def result(self, timeout: Duration | None = None) -> R_co: ...
    def cancel(self, *, by: str = "operator", reason: str = "") -> int: ...


class AioHandle(Generic[R]):
    """The methods of a `RunHandle`, awaitable. Waits take no thread."""

    def __init__(self, handle: Handle[R], bridge: Bridge) -> None:
        self.behind = handle
        self.bridge = bridge

    status = Awaitable(Handle.status)
    cancel = Awaitable(Handle.cancel)

    async def wait(self, timeout: Duration | None = None) -> Run:
        """See `RunHandle.wait`."""
        return await self.bridge.finished(
            self.behind.id, timeout, lambda: _unless_going_on(self.behind.wait)
        )

    async def result(self, timeout: Duration | None = None) -> R:
        """See `RunHandle.result`."""
        return await self.bridge.finished(
            self.behind.id, timeout, lambda: _unless_going_on(self.behind.result)
        )


def _unless_going_on(ask: Callable[[float], R]) -> tuple[R] | None:
    try:
        return (ask(0),)
    except WaitTimeout:
        return None
