"""The ends of runs, for tasks of asyncio that wait for them: one thread watches for all tasks.

It reads which of their runs are still open, in one statement: when a worker of this process tells
of an end, and when anyone has committed something. While no task waits, there is no thread. A
future only says that the run is not open; its task then reads how it ended.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from stepwell.engine.clock import pause
from stepwell.engine.errors import RuntimeClosed
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.runtime.run_ends import RunEnds

# The shortest and the longest time between two looks for changes, in seconds. In between, it is a
# twentieth of the time without any.
SOON, LATE = 0.002, 0.05
# After each look the thread rests this many times as long, so that it takes little of a processor.
REST = 4
# The most runs that one statement asks for.
MOST = 1_000


class Watched(Protocol):
    """What `AioEnds` needs of the store."""

    def version(self) -> str: ...
    def open_runs(self, run_ids: Sequence[str]) -> set[str]: ...


class AioEnds(ForkAware):
    """The tasks that wait for runs to end, on any number of event loops."""

    def __init__(self, store: Watched, run_ends: RunEnds, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._run_ends = run_ends
        self._monotonic = monotonic
        self._closed = False
        self._begin_anew()
        Lineage.register(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[Future[None], AbstractEventLoop]] = {}
        # Wakes the thread that watches; None if there is none.
        self._stir: threading.Event | None = None

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as the contract has it
        """See `forks.ForkAware`. The tasks and the thread are in the parent."""
        self._begin_anew()

    async def ended(self, run_id: str, until: float | None) -> None:
        """Wait until the run is not open; it need not exist.

        Raises TimeoutError at `until` (by the loop's clock), RuntimeClosed if the runtime is
        closed, and what the store raises.
        """
        loop = get_running_loop()
        future: Future[None] = loop.create_future()
        timer = None
        if until is not None:
            timer = loop.call_at(until, _settle, future, TimeoutError())
        self._add(run_id, future, loop)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            self._discard(run_id, future)

    def close(self) -> None:
        """End all waits with RuntimeClosed."""
        with self._lock:
            self._closed = True
        self._settle_all(RuntimeClosed("the runtime was closed; the run goes on"))

    def _add(self, run_id: str, future: Future[None], loop: AbstractEventLoop) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeClosed("the runtime is closed; connect() again")
            self._waiting.setdefault(run_id, {})[future] = loop
            if self._stir is None:
                self._stir = threading.Event()
                watch = threading.Thread(
                    target=self._watch, args=(self._stir,), name="stepwell-aio-ends", daemon=True
                )
                watch.start()
            self._stir.set()

    def _discard(self, run_id: str, future: Future[None]) -> None:
        with self._lock:
            waiting = self._waiting.get(run_id)
            if waiting is not None:
                waiting.pop(future, None)
                if not waiting:
                    del self._waiting[run_id]
            if not self._waiting and self._stir is not None:
                self._stir.set()

    def _watch(self, stir: threading.Event) -> None:
        self._run_ends.listen(stir)
        try:
            mark, quiet_since = None, self._monotonic()
            while waiting := self._still_waiting(stir):
                is_stirred = stir.is_set()
                stir.clear()
                begun = self._monotonic()
                try:
                    seen = self._store.version()
                    if is_stirred or seen != mark:
                        mark = seen
                        self._look(waiting)
                        quiet_since = self._monotonic()
                        pause(REST * (quiet_since - begun))
                except Exception as error:  # whatever it is, those who wait get it
                    self._settle_all(error)
                    continue
                stir.wait(min(max(SOON, (begun - quiet_since) / 20), LATE))
        finally:
            self._run_ends.unlisten(stir)

    def _still_waiting(self, stir: threading.Event) -> list[str]:
        """The runs that tasks wait for; if there are none, the thread ends."""
        with self._lock:
            if not self._waiting and self._stir is stir:
                self._stir = None
            return list(self._waiting) if self._stir is stir else []

    def _look(self, waiting: Sequence[str]) -> None:
        rest = iter(waiting)
        while part := list(islice(rest, MOST)):
            still_open = self._store.open_runs(part)
            for run_id in part:
                if run_id not in still_open:
                    with self._lock:
                        found = self._waiting.pop(run_id, {})
                    _tell(found, None)

    def _settle_all(self, error: Exception) -> None:
        with self._lock:
            waiting = list(self._waiting.values())
            self._waiting.clear()
            if self._stir is not None:
                self._stir.set()
        for found in waiting:
            _tell(found, error)


def _tell(waiting: dict[Future[None], AbstractEventLoop], error: Exception | None) -> None:
    for future, loop in waiting.items():
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            loop.call_soon_threadsafe(_settle, future, error)


def _settle(future: Future[None], error: Exception | None) -> None:
    if future.done():  # canceled, or timed out
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
