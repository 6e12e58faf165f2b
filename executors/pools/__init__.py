"""Where executors run: in the caller's thread, in threads, on an event loop, in processes."""

from __future__ import annotations

import stepwell.executors as executors
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.errors import InvalidSettings, nearest
from stepwell.engine.forks import Lineage
from stepwell.engine.package import POOLS
from stepwell.engine.ports import Pool
from stepwell.engine.services import Services
from stepwell.executors.pools.attempt import Deliver
from stepwell.executors.pools.inline import InlinePool
from stepwell.executors.pools.threads import ThreadPool


def make_pool(
    name: str,
    size: int,
    deliver: Deliver,
    services: Services,
    worker_id: str,
    clock: Clock | None = None,
) -> Pool:
    """The pool called `name`, with `size` slots; nothing is started before its first step."""
    clock = clock or SystemClock()
    Lineage.watch()
    if name == "inline":
        return InlinePool(size, deliver)
    if name == "thread":
        return ThreadPool(size, deliver, clock)
    made: Pool
    if name == "asyncio":
        made = executors.tasks.AsyncioPool(size, deliver)
    elif name == "process":
        made = executors.processes.ProcessPool(size, deliver, services, worker_id, clock)
    else:
        raise InvalidSettings(f"unknown pool {name!r}{nearest(name, POOLS)}")
    return made
