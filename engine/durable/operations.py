"""The durable half of `StepContext`: operations that run once, and are replayed."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import stepwell.engine as engine
from stepwell.engine.checkpoints.checkpoint import OperationKind
from stepwell.engine.durable.checkpoint_pause import PAUSED
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operation import INSIDE, Work, perform
from stepwell.engine.durable.replay import (
    Request,
    check_name,
    digest,
    identity,
    plain_function,
    result_type,
)
from stepwell.engine.errors import InvalidInput, StepwellError, shown
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ids import check_id
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.retry import Retry
from stepwell.engine.services import DurableServices, Services

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from stepwell.engine.payloads.types import PayloadType

T = TypeVar("T")


class _Names:
    """The names of operations that an execution has used so far."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked = 0
        self._counts: dict[str, int] = {}
        self._keyed: set[tuple[str, str]] = set()
        self._functions: dict[str, tuple[object, str]] = {}
        self._types: dict[str, PayloadType | None] = {}

    def result_of(self, name: str, function: Callable[..., Any], call: str) -> PayloadType | None:
        """The type that reads the values of operations of this name."""
        if name not in self._types:
            self._types[name] = result_type(function, f"{call}({name!r})")
        return self._types[name]

    def claim(self, name: str, what: tuple[object, str], call: str) -> None:
        """Raises InvalidInput if the name is used for something else."""
        known = self._functions.setdefault(name, what)
        if known[0] != what[0]:
            raise InvalidInput(
                f"{call}: the name {name!r} is used for {known[1]} already, and now for "
                f"{what[1]}; give one of them another name"
            )

    def occurrence(self, name: str, key: str | None, call: str) -> int:
        """The number of this operation among those of its name; 1 for one with a key."""
        self.asked += 1
        if key is None:
            self._counts[name] = number = self._counts.get(name, 0) + 1
            return number
        if (name, key) in self._keyed:
            raise InvalidInput(f"{call}({name!r}): key {key!r} was given twice in this execution")
        self._keyed.add((name, key))
        return 1


class Durable:
    """Recorded operations: `do`, `do_async`, and what belongs to them.

    An operation is identified by its name and the number of earlier uses of that name, or by name
    and key.
    """

    _claimed: ClaimedStep
    _services: Services
    _cancelled: bool
    _closed: bool
    journal: Journal | None = None
    _names: _Names | None = None
    _background_tasks: Any = None
    _tasks: set[Any] | None = None
    _failed_tasks: tuple[tuple[Exception, int], ...] = ()
    _canceled_event: threading.Event | None = None
    # Where the body runs: its thread, and its task if it is a coroutine.
    _thread: int | None = None
    _task: Any = None

    @overload
    def do(
        self,
        name: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Awaitable[T]: ...
    @overload
    def do(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> T: ...
    def do(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run `fn(*args, **kwargs)` once and record its value; later executions get that value.

        The value must be JSON. Returns the recorded value, read with `fn`'s return annotation,
        the first time too. With a coroutine function, returns an awaitable. `key` names the
        operation in a loop. `retry` tries again here, before the failure is recorded.
        `checkpoint=False` records nothing and runs each time: for connections and handles.

        Raises:
            ReplayMismatch: something else was recorded under this name.
            InvalidInput: the value is not JSON, or the name is used for another function.
        """
        work = self._work("do", name, fn, (args, kwargs), (checkpoint, retry, key))
        if _is_coroutine_function(fn):
            engine.coroutines.require_loop(work.request.label)
            return engine.coroutines.perform(work)
        return perform(work)

    @overload
    def do_async(  # pyright: ignore[reportOverlappingOverload]  # the first one that fits counts
        self,
        name: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[T]: ...
    @overload
    def do_async(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Future[T]: ...
    def do_async(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Like `do`, in the background: a future of a thread, or a task of a coroutine function.

        The execution does not end before all of them have ended. Operations are numbered when
        they are started, so the order in which they end does not matter.
        """
        work = self._work("do_async", name, fn, (args, kwargs), (checkpoint, retry, key))
        if _is_coroutine_function(fn):
            engine.coroutines.require_loop(work.request.label)
            if self._tasks is None:
                self._tasks = set()
            return engine.coroutines.start(work, self._tasks, self._failed_in_background)
        if self._background_tasks is None:
            self._background_tasks = engine.background.BackgroundTasks()
        return self._background_tasks.start(lambda: perform(work), work.request.label)

    @property
    def variables(self) -> dict[str, Any]:
        """JSON values by name, saved with each operation and wait, and restored on replay."""
        journal = self._loaded("variables")
        return journal.variables

    @property
    def kv(self) -> KeyValueStore:
        """The key-value store of all runs, as `runtime.kv`. It is not part of the history."""
        self._check_open("kv", inside=True)
        return self._services_for("kv").kv

    # --- for the waits and the engine -------------------------------------------------------

    def _failed_in_background(self, error: Exception) -> None:
        """Note at which point a task failed: how many operations the body had requested by then."""
        assert self._names is not None
        self._failed_tasks = (*self._failed_tasks, (error, self._names.asked))

    def _work(
        self,
        operation: str,
        name: str,
        fn: Callable[..., Any],
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        options: tuple[bool, Retry | None, str | None],
    ) -> Work:
        call = f"step.{operation}"
        checkpoint, retry, key = options
        if not callable(fn):
            raise InvalidInput(f"{call}({shown(name)}): needs a function, got {shown(fn)}")
        if retry is not None and not isinstance(retry, Retry):
            raise InvalidInput(
                f"{call}({shown(name)}).retry: must be a Retry(...), got {shown(retry)}"
            )
        args, named = arguments
        print_ = digest(*args, **named) if checkpoint else ""
        request = self._request("do", name, identity(fn), print_, (operation, key, checkpoint))
        work = Work(self, self._journal(operation), request, fn, arguments)
        work.checkpoint, work.retry = checkpoint, retry
        if checkpoint and self._names is not None:
            work.of = self._names.result_of(name, fn, call)
        return work

    def _request(
        self,
        kind: OperationKind,
        name: str,
        what: tuple[object, str],
        arguments_digest: str,
        options: tuple[str, str | None, bool],
    ) -> Request:
        """The next operation of this name. Raises InvalidInput."""
        operation, key, counted = options
        self._check_open(operation)
        call = f"step.{operation}"
        check_name(name, call)
        if key is not None:
            check_id(key, f"{call}({name!r}): key")
        names = self._names or vars(self).setdefault("_names", _Names())
        with names.lock:
            names.claim(name, what, call)
            number = names.occurrence(name, key, call) if counted else 1
        return Request(name, number, key, kind, arguments_digest, call)

    def _loaded(self, operation: str) -> Journal:
        journal = self._journal(operation)
        journal.load()
        return journal

    def _journal(self, operation: str) -> Journal:
        journal = self.journal
        if journal is None:
            services, settings = self._services_for(operation), self._services.settings
            made = Journal(self._claimed, self.idempotency_key, services, settings, self._rest)
            journal = vars(self).setdefault("journal", made)  # another thread may have been first
        return journal

    def _services_for(self, operation: str) -> DurableServices:
        if self._services.durable is None:
            raise StepwellError(
                f"step.{operation}: this execution has no store for durable operations"
            )
        return self._services.durable

    def _rest(self, seconds: float) -> bool:
        """Wait this long, or until the step is canceled; returns whether it is."""
        if seconds <= 0 or self._cancelled:
            return self._cancelled
        if self._canceled_event is None:
            self._canceled_event = threading.Event()
            self.on_cancel(self._canceled_event.set)
        self._canceled_event.wait(seconds)
        return self._cancelled

    def enter(self) -> None:
        """The body is about to run in this thread."""
        self._thread = threading.get_ident()

    def _check_place(self, call: str) -> None:
        """Raises InvalidInput where a wait would not unwind the body; that ends the attempt."""
        calling = INSIDE.get()
        if calling is not None and calling[0] is self:
            raise StepwellError(
                f"step.{call}: called inside the operation {calling[1]!r}; it would be lost when "
                "the operation is replayed: call it before or after, and wait for several things "
                "at once with step.wait_any(…) or step.wait_all(…)"
            )
        if self._thread is None:  # made by hand
            return
        why = ""
        if threading.get_ident() != self._thread:
            remedy = engine.coroutines.REMEDY
            why = f"called in another thread than the step's function; {remedy}"
        elif "asyncio.events" in sys.modules:
            why = engine.coroutines.elsewhere(self._task)
        if why and not self._closed:
            error = InvalidInput(f"step.{call}: {why}")
            self._journal(call).misplaced = error
            raise error

    def stay_paused(self) -> None:
        """Suspend again, without running the body, if the step waits for the end of a pause."""
        waited = self.resumed_wait()
        if waited is not None and waited.get("kind") == PAUSED:
            self._loaded("paused").heed()

    def join(self) -> None:
        """Wait for background tasks, unless the step is canceled."""
        if self._background_tasks is not None:
            self._background_tasks.join(lambda: self._cancelled)
            unread = self._background_tasks.log_unread(self.idempotency_key)
            if self.journal is not None:
                self.journal.unread += unread

    async def guarded(self, body: Awaitable[T]) -> T:
        """The body's value, after the tasks that it left running have ended as well."""
        self.enter()
        self._task = engine.coroutines.own_task()
        error: BaseException | None = None
        try:
            return await body
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self._tasks:
                canceled = engine.coroutines.is_cancellation(error)
                for label, failure in await engine.coroutines.finish(
                    self._tasks, canceled=canceled
                ):
                    engine.background.log_unread(self.idempotency_key, label, failure)
            if self.journal is not None and self._names is not None:
                # However the body treated these failures, it has requested nothing since.
                asked = self._names.asked
                self.journal.unread += [e for e, when in self._failed_tasks if when == asked]

    def _check_open(self, operation: str, *, inside: bool = False) -> None:
        raise NotImplementedError

    def on_cancel(self, callback: Callable[[], object]) -> None:
        raise NotImplementedError

    def resumed_wait(self) -> dict[str, Any] | None:
        raise NotImplementedError

    @property
    def idempotency_key(self) -> str:
        raise NotImplementedError


def _is_coroutine_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        plain_function(function)
    )
