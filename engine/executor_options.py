"""The options of steps that executors, workflows and packages set: queue, retry and so on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, TypedDict

from stepwell.engine.durations import Duration
from stepwell.engine.errors import InvalidPackage, nearest, shown
from stepwell.engine.graph.graph import check_timeout
from stepwell.engine.limits import check_priority
from stepwell.engine.model import DEFAULT_QUEUE, ExecutorOptions
from stepwell.engine.retry import Retry


class ExecutorDefaults(TypedDict, total=False):
    """The options for the steps of a kind; `run.step` and `step.emit` replace them for one step.

    Options that an executor or workflow leaves out are its package's. None is not left out: it
    means the queue "default", no retry, no time limit, priority 0, and the pool that fits the
    function. `pool` is "inline", "thread", "asyncio", "process", or another one that is installed
    or given to `connect()`; it must exist when the package is registered.
    """

    queue: str | None
    retry: Retry | None
    timeout: Duration | None
    priority: int | None
    pool: str | None


ENGINE_DEFAULTS = ExecutorOptions()


def check_options(given: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raises InvalidPackage for an unknown option, with the nearest one."""
    for option in given:
        if option not in known:
            raise InvalidPackage(f"{where}: unknown option {option!r}{nearest(option, known)}")


def executor_options(
    where: str, given: Mapping[str, Any], defaults: ExecutorOptions = ENGINE_DEFAULTS
) -> ExecutorOptions:
    """The options, checked; those that are left out are taken from `defaults`.

    Raises InvalidPackage or InvalidInput naming `where`.
    """
    check_options(given, ExecutorDefaults.__annotations__, where)
    queue = given.get("queue", defaults.queue)
    retry = given.get("retry", defaults.retry)
    if retry is not None and not isinstance(retry, Retry):
        raise InvalidPackage(f"{where}.retry: must be a Retry(...), got {shown(retry)}")
    timeout = given.get("timeout", defaults.timeout)
    if timeout is not None:
        timeout = timedelta(microseconds=check_timeout(timeout, f"{where}.timeout"))
    priority = given.get("priority", defaults.priority)
    priority = 0 if priority is None else check_priority(priority, f"{where}.priority")
    pool = given.get("pool", defaults.pool)
    if pool is not None and not isinstance(pool, str):
        raise InvalidPackage(f"{where}.pool: must be the name of a pool, got {shown(pool)}")
    return ExecutorOptions(
        DEFAULT_QUEUE if queue is None else queue, retry, timeout, priority, pool
    )
