"""Where executors run: in the caller's thread, in threads, on an event loop, in processes.

The built-in pools are registered like any other, with a `PoolSpec`.
"""

from __future__ import annotations

import stepwell.executors as executors
from stepwell.engine.forks import Lineage
from stepwell.engine.ports import Pool
from stepwell.engine.worker.pool_spec import PoolParts, PoolSpec
from stepwell.executors.pools.inline import InlinePool
from stepwell.executors.pools.threads import ThreadPool


def _inline(parts: PoolParts) -> Pool:
    Lineage.watch()
    return InlinePool(parts.size, parts.deliver)


def _thread(parts: PoolParts) -> Pool:
    Lineage.watch()
    return ThreadPool(parts.size, parts.deliver, parts.clock)


def _asyncio(parts: PoolParts) -> Pool:
    Lineage.watch()
    made: Pool = executors.tasks.AsyncioPool(parts.size, parts.deliver)
    return made


def _process(parts: PoolParts) -> Pool:
    Lineage.watch()
    made: Pool = executors.processes.ProcessPool(
        parts.size, parts.deliver, parts.services, parts.worker_id, parts.clock
    )
    return made


BUILT_IN = (
    PoolSpec("inline", 1, _inline),
    PoolSpec("thread", lambda settings: settings.threads, _thread, keeps_turn=True),
    PoolSpec("asyncio", lambda settings: settings.tasks, _asyncio),
    PoolSpec("process", lambda settings: settings.processes, _process, killable=True),
)
