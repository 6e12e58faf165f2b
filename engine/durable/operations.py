"""Functions that run once and are replayed: `step.do` and `step.do_async`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import stepwell.engine as engine
from stepwell.engine.durable.body import Body
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operation import Work, perform
from stepwell.engine.durable.replay import digest, identity, plain_function
from stepwell.engine.durable.requests import Requests
from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.retry import Retry

# The arguments for the function, by place and by name.
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
# The options `checkpoint`, `retry` and `key` of `step.do`.
Options = tuple[bool, Retry | None, str | None]


class Operations:
    """The recorded functions of one execution, including those that run in the background."""

    # Made when first used, by whichever thread is first.
    _threads: Any = None

    def __init__(self, body: Body, journal: Journal, requests: Requests) -> None:
        self._body = body
        self._journal = journal
        self._requests = requests
        self._tasks: set[Any] = set()
        self._failed_tasks: tuple[tuple[Exception, int], ...] = ()

    def do(self, name: str, fn: Callable[..., Any], arguments: Arguments, options: Options) -> Any:
        """See `StepContext.do`."""
        work = self._work("do", name, fn, arguments, options)
        if _is_coroutine_function(fn):
            engine.coroutines.require_loop(work.request.label)
            return engine.coroutines.perform(work)
        return perform(work)

    def do_async(
        self, name: str, fn: Callable[..., Any], arguments: Arguments, options: Options
    ) -> Any:
        """See `StepContext.do_async`."""
        work = self._work("do_async", name, fn, arguments, options)
        if _is_coroutine_function(fn):
            engine.coroutines.require_loop(work.request.label)
            return engine.coroutines.start(work, self._tasks, self._task_failed)
        threads = self._threads
        if threads is None:
            threads = vars(self).setdefault("_threads", engine.background.BackgroundTasks())
        return threads.start(lambda: perform(work), work.request.label)

    def join(self) -> None:
        """Wait for background tasks in threads, unless the step is canceled."""
        if self._threads is not None:
            self._threads.join(lambda: self._body.cancelled)
            self._journal.unread += self._threads.log_unread(self._journal.execution_id)

    async def finish_tasks(self, error: BaseException | None) -> None:
        """Wait for the tasks that a coroutine left running when it ended, with `error` if any."""
        if self._tasks:
            canceled = engine.coroutines.is_cancellation(error)
            for label, failure in await engine.coroutines.finish(self._tasks, canceled=canceled):
                engine.background.log_unread(self._journal.execution_id, label, failure)
        # However the body treated these failures, it has requested nothing since.
        requested = self._requests.count
        self._journal.unread += [e for e, when in self._failed_tasks if when == requested]

    def _task_failed(self, error: Exception) -> None:
        """Keep the failure of a task, and how many operations the body had requested by then."""
        self._failed_tasks = (*self._failed_tasks, (error, self._requests.count))

    def _work(
        self,
        operation: str,
        name: str,
        fn: Callable[..., Any],
        arguments: Arguments,
        options: Options,
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
        fingerprint = digest(*args, **named) if checkpoint else ""
        requested = operation, key, checkpoint
        request = self._requests.next("do", name, identity(fn), fingerprint, requested)
        work = Work(self._body, self._journal, request, fn, arguments)
        work.checkpoint, work.retry = checkpoint, retry
        if checkpoint:
            work.of = self._requests.result_type(name, fn, call)
        return work


def _is_coroutine_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        plain_function(function)
    )
