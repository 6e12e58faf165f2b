"""A worker's pools, and how many steps it claims ahead for each.

The window of a pool is its number of slots, and the number of steps that it finishes in `AHEAD`
seconds, as measured. So the next step is there when a slot becomes free, and a worker with slow
steps does not keep them from other workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepwell.engine.exchange import PoolRequest
from stepwell.engine.ports import Catalog, Pool
from stepwell.engine.settings import Settings
from stepwell.engine.step.execution import Execution
from stepwell.engine.worker.pool_spec import FindPool, PoolSpec

# Makes a pool with so many slots.
MakePool = Callable[[PoolSpec, int], Pool]

AHEAD = 0.05
SMOOTHING = 0.5
SAMPLE_STEPS = 64
# How long canceled bodies may take to end in a pool that cannot kill them, in seconds.
UNWIND = 0.5


class PoolWindow:
    """One pool with the kinds it runs, how many steps are claimed for it, and how fast it is.

    The rate is the number of steps finished per second of busy time, which ends with the last body:
    a slow store does not make the pool look slow.
    """

    def __init__(self, spec: PoolSpec, size: int) -> None:
        self.spec = spec
        self.size = size
        self.kinds: list[str] = []
        self.pool: Pool | None = None
        self.claimed = 0
        self.finished = 0
        self.rate = 0.0
        # When the last body ended, as told by the pool's threads.
        self.ended_at = 0.0
        self._busy = 0.0
        self._busy_since: float | None = None

    def add(self, count: int, now: float) -> None:
        """`count` more steps are claimed."""
        if self._busy_since is None:
            self._busy_since = now
        self.claimed += count

    def measure(self, now: float) -> None:
        """Take a sample of the rate, once enough is known for one."""
        if self._busy_since is not None:
            until = now if self.claimed else min(now, max(self._busy_since, self.ended_at))
            self._busy += until - self._busy_since
            self._busy_since = now if self.claimed else None
        enough = self.finished >= SAMPLE_STEPS or self._busy >= AHEAD
        if enough and self._busy > 0:
            self.rate += (self.finished / self._busy - self.rate) * SMOOTHING
            self.finished, self._busy = 0, 0.0

    def most_claimed(self, limit: int) -> int:
        """How many steps may be claimed for this pool."""
        return max(self.size, min(limit, self.size + int(self.rate * AHEAD)))


class PoolWindows:
    """The pools of one worker. Used by the thread that has the turn, except `ended`."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        find_pool: FindPool,
        make_pool: MakePool,
        monotonic: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._find_pool = find_pool
        self._make_pool = make_pool
        self._monotonic = monotonic
        self._windows: dict[str, PoolWindow] = {}
        self._of_kind: dict[str, PoolWindow] = {}
        self._known = 0

    def _learn_kinds(self) -> None:
        """Take in new kinds, which may be registered at any time."""
        kinds = self._catalog.kinds()
        if len(kinds) == self._known:
            return
        self._known = len(kinds)
        for kind in kinds:
            if kind in self._of_kind:
                continue
            name = self._catalog.pool_name(kind)
            if name not in self._windows:
                spec = self._find_pool(name)
                self._windows[name] = PoolWindow(spec, spec.slots(self._settings))
            window = self._of_kind[kind] = self._windows[name]
            window.kinds.append(kind)

    def requests(self) -> tuple[PoolRequest, ...]:
        """What can be claimed now, for each pool with room."""
        self._learn_kinds()
        limit = self._settings.claim_limit
        return tuple(
            PoolRequest(tuple(window.kinds), free)
            for window in self._windows.values()
            if (free := window.most_claimed(limit) - window.claimed) > 0
        )

    def submit(self, kind: str, executions: Sequence[Execution]) -> None:
        """Hand executions of one kind to their pool, which is made when first needed."""
        window = self._of_kind[kind]
        if window.pool is None:
            window.pool = self._make_pool(window.spec, window.size)
        window.add(len(executions), self._monotonic())
        window.pool.submit(executions)

    def ended(self, kind: str) -> None:
        """Note that a body of this kind ended; called in the pool's thread."""
        self._of_kind[kind].ended_at = self._monotonic()

    def freed(self, kind: str) -> None:
        """Note that an execution of this kind ended in any way, which makes room."""
        window = self._of_kind[kind]
        window.claimed -= 1
        window.finished += 1

    def measure(self) -> None:
        """Take a sample of each pool's rate."""
        now = self._monotonic()
        for window in self._windows.values():
            window.measure(now)

    def surplus(self) -> dict[str, int]:
        """How many more are claimed than the window allows, by the name of the pool."""
        self.measure()
        limit = self._settings.claim_limit
        return {
            window.spec.name: extra
            for window in self._windows.values()
            if (extra := window.claimed - window.most_claimed(limit)) > 0
        }

    def pool_of(self, kind: str) -> str:
        """The name of the pool that runs this kind."""
        return self._of_kind[kind].spec.name

    def cancel(self, execution: Execution) -> None:
        """Stop an execution as far as its pool can."""
        pool = self._of_kind[execution.step.kind].pool
        if pool is not None:
            pool.cancel(execution)

    def shutdown(self, grace: float) -> None:
        """Stop all pools, after all executions in them were told to end.

        Pools that can kill give `grace` seconds. The others get less: waiting longer would end
        nothing.
        """
        for window in self._windows.values():
            if window.pool is not None:
                window.pool.shutdown(grace if window.spec.killable else min(grace, UNWIND))
                window.pool = None
