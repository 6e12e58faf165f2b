"""The graph under construction by `run.step(...)` and `step.emit(...)`.

A graph whose dependencies all point to earlier steps is acyclic by construction and is not
searched; only dependencies on later steps, or on steps unknown here, are checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from sys import maxsize
from typing import Any, Literal, TypedDict

import stepwell.engine as engine
from stepwell.engine.clock import duration_micros
from stepwell.engine.duration_checks import check_duration
from stepwell.engine.durations import Duration
from stepwell.engine.errors import InvalidGraph, InvalidInput, nearest, shown
from stepwell.engine.exchange import Edge, NewStep
from stepwell.engine.ids import check_id, child_id
from stepwell.engine.limits import check_priority
from stepwell.engine.model import DEFAULT_QUEUE, Dependency, StepHandle
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import Catalog
from stepwell.engine.retry import Retry
from stepwell.engine.states import Condition

MAX_TIMEOUT = timedelta(days=366)

# Queue, retry policy (JSON text), most attempts, timeout (µs), priority, package.
_Plan = tuple[str, str | None, int, int | None, int, str]

After = StepHandle[Any] | Dependency | str | Iterable[StepHandle[Any] | Dependency | str]


class StepOptions(TypedDict, total=False):
    """What `run.step` and `step.emit` take besides the executor and its input.

    `id`: unique in the run, made from the kind when left out. `after`: steps that must end
    first (handles, ids or `Dependency(id, condition)`); `after_subtree`: the same, including
    everything those steps emit, at any depth. `queue`, `retry`, `timeout`, `priority` (smaller
    first) replace the executor's own. `dedup_key` identifies one step per run: a second step with
    the same key is not created, and its handle is that of the first. `metadata`: any JSON object.
    `allow_failure`: a failure of the step alone does not make the run fail.
    """

    id: str | None
    after: After
    after_subtree: After
    queue: str | None
    retry: Retry | None
    timeout: Duration | None
    priority: int | None
    dedup_key: str | None
    metadata: Mapping[str, Any] | None
    allow_failure: bool


_OPTIONS = frozenset(StepOptions.__annotations__)


class Graph:
    """New steps in order of creation, each validated when it is added.

    `path` begins error messages ("run" or "emit"); `parent` prefixes automatic ids; `package`
    is the default for steps whose kind belongs to none; `limit` bounds each payload in bytes;
    `most` bounds the number of steps, unless None; `defaults` are the run's queue and priority, for
    steps whose executors name none.
    """

    def __init__(
        self,
        catalog: Catalog,
        path: str,
        *,
        limit: int,
        package: str,
        parent: str | None = None,
        most: int | None = None,
        defaults: tuple[str | None, int | None] = (None, None),
    ) -> None:
        self.steps: list[NewStep] = []
        self._catalog = catalog
        self._path = path
        self._limit = limit
        self._package = package
        self._parent = parent
        self._most = maxsize if most is None else most
        self._queue, self._priority = defaults
        self._index: dict[str, int] = {}
        self._dedup: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._forward: list[tuple[str, str]] = []
        # Siblings share theirs, which saves a third of all objects in a large fan-out.
        self._last_edges: tuple[Edge, ...] = ()
        # The handle of the earlier step that all of these depend on, if there is just one.
        self._last_needed: StepHandle[Any] | None = None
        self._queues = frozenset(catalog.queue_names())
        self._plans: dict[str, _Plan] = {}

    def add(self, executor: Any, value: Any, options: StepOptions) -> StepHandle[Any]:
        """Add one step; returns its handle. Raises InvalidInput naming the step and the field."""
        kind = self._kind_of(executor, options)
        step_id = options.get("id")
        if step_id is None:
            step_id = self._automatic_id(kind)
        elif check_id(step_id, f"{self._path}.step({kind}).id") in self._index:
            raise InvalidGraph(f"{self._path}.step({step_id!r}): the id is given twice")
        where = f"{self._path}.step({step_id!r})"
        dedup_key = options.get("dedup_key")
        if dedup_key is not None:
            check_id(dedup_key, f"{where}.dedup_key")
            if dedup_key in self._dedup:
                return StepHandle(self._dedup[dedup_key])
        if len(self.steps) >= self._most:
            raise InvalidGraph(
                f"{where}: one step may emit {self._most:,} steps at most (the setting "
                "emit_limit); emit steps that emit a part each, or raise the setting"
            )
        plan = self._plans.get(kind) or self._plan(kind)
        if len(options) > ("id" in options) + ("after" in options):
            plan = self._overridden(plan, options, where)
        queue, retry, max_attempts, timeout, priority, package = plan
        text = self._catalog.encode_input(kind, value, f"{where}.input", self._limit)
        metadata = options.get("metadata")
        step = NewStep(
            step_id,
            kind,
            queue,
            text,
            package,
            priority,
            max_attempts,
            timeout,
            retry,
            dedup_key,
            _metadata(metadata, where, self._limit) if metadata else None,
            self._edges(step_id, options, where) if options else (),
            bool(options.get("allow_failure")),
        )
        self._index[step_id] = len(self.steps)
        if dedup_key is not None:
            self._dedup[dedup_key] = step_id
        self.steps.append(step)
        return StepHandle(step_id)

    def finish(self, known: Collection[str] | None = ()) -> list[NewStep]:
        """The steps, checked as a whole.

        `known` are the ids of stored steps that dependencies may name; with None, the store checks
        unknown names. Raises InvalidGraph for a missing target or a cycle, naming the steps.
        """
        for step_id, target in self._forward:
            if target not in self._index and known is not None and target not in known:
                raise InvalidGraph(
                    f"{self._path}.step({step_id!r}).after: there is no step {target!r}"
                    f"{nearest(target, self._index)}"
                )
        if any(target in self._index for _, target in self._forward):
            cycle = engine.cycle_search.find_cycle(
                (step.id, edge.target) for step in self.steps for edge in step.edges
            )
            if cycle:
                raise InvalidGraph(
                    f"{self._path}: the dependencies form a cycle: {' → '.join([*cycle, cycle[0]])}"
                )
        return self.steps

    def _kind_of(self, executor: Any, options: StepOptions) -> str:
        kind = executor if isinstance(executor, str) else getattr(executor, "kind", executor)
        if not isinstance(kind, str):
            raise InvalidGraph(
                f"{self._path}.step: needs an executor or the name of a kind, got {shown(executor)}"
            )
        if not _OPTIONS.issuperset(options):
            name = min(options.keys() - _OPTIONS)
            raise InvalidGraph(
                f"{self._path}.step({kind}): unknown option {name!r}"
                f"{nearest(name, StepOptions.__annotations__)}"
            )
        return kind

    def _overridden(self, plan: _Plan, options: StepOptions, where: str) -> _Plan:
        """The kind's plan, changed by the options of this step."""
        queue, retry, max_attempts, timeout, priority, package = plan
        if (given := options.get("queue")) is not None:
            queue = self._known_queue(given, where)
        if (policy := options.get("retry")) is not None:
            retry, max_attempts = _retry(policy, where)
        if (limit := options.get("timeout")) is not None:
            timeout = check_timeout(limit, f"{where}.timeout")
        if (rank := options.get("priority")) is not None:
            priority = check_priority(rank, f"{where}.priority")
        return queue, retry, max_attempts, timeout, priority, package

    def _plan(self, kind: str) -> _Plan:
        """The defaults for steps of a kind, looked up once per graph."""
        where = f"{self._path}.step({kind})"
        options = self._catalog.options(kind)
        queue, priority = options.queue, options.priority
        if queue == DEFAULT_QUEUE and self._queue is not None:
            queue = self._queue
        if not priority and self._priority is not None:
            priority = self._priority
        plan = self._plans[kind] = (
            self._known_queue(queue, where),
            # Not stored: the executor's own policy is read from the code, so that a change of
            # it reaches runs that have already started.
            None,
            options.retry.max_attempts if options.retry else 1,
            check_timeout(options.timeout, f"{where}.timeout") if options.timeout else None,
            check_priority(priority, f"{where}.priority"),
            self._catalog.package_of(kind) or self._package,
        )
        return plan

    def _known_queue(self, name: Any, where: str) -> str:
        if not isinstance(name, str) or name not in self._queues:
            raise InvalidGraph(
                f"{where}.queue: there is no queue {shown(name)}{nearest(name, self._queues)}"
            )
        return name

    def _automatic_id(self, kind: str) -> str:
        while True:
            self._counts[kind] = count = self._counts.get(kind, 0) + 1
            step_id = f"{kind}:{count}"
            if self._parent is not None:
                step_id = child_id(self._parent, step_id)
            if step_id not in self._index:
                return step_id

    def _edges(self, step_id: str, options: StepOptions, where: str) -> tuple[Edge, ...]:
        alone = _one_handle(options)
        if alone is not None and alone is self._last_needed:
            return self._last_edges
        edges: dict[str, Edge] = {}
        for name, subtree in _AFTER:
            for item in _items(options.get(name, ()), where, name):
                if type(item) is StepHandle:
                    target, condition = item.id, Condition.SUCCEEDED
                else:
                    target, condition = _dependency(item, f"{where}.{name}")
                if target == step_id:
                    raise InvalidGraph(f"{where}.{name}: the step depends on itself")
                if target in edges:
                    raise InvalidGraph(f"{where}.{name}: depends on {target!r} twice")
                if target not in self._index:
                    check_id(target, f"{where}.{name}")
                    self._forward.append((step_id, target))
                edges[target] = Edge(target, condition, subtree)
        found = tuple(edges.values())
        if found != self._last_edges:
            self._last_edges = found
        self._last_needed = alone if alone is not None and alone.id in self._index else None
        return self._last_edges


# The options that name dependencies, and whether they mean whole subtrees.
_AFTER: tuple[tuple[Literal["after", "after_subtree"], bool], ...] = (
    ("after", False),
    ("after_subtree", True),
)


def _one_handle(options: StepOptions) -> StepHandle[Any] | None:
    """The handle of the only step that this one depends on, or None."""
    after = options.get("after")
    if type(after) is list and len(after) == 1 and "after_subtree" not in options:
        (item,) = after
        return item if type(item) is StepHandle else None
    return None


def _items(after: Any, where: str, name: str) -> Iterable[Any]:
    """The items of one of these options."""
    if isinstance(after, (list, tuple)):
        return after
    if isinstance(after, (str, StepHandle, Dependency)):
        return (after,)
    try:
        return tuple(after)
    except TypeError:
        raise InvalidGraph(
            f"{where}.{name}: must be handles, ids or Dependency(...), got {shown(after)}"
        ) from None


def _dependency(item: Any, where: str) -> tuple[str, Condition]:
    """The target and condition of one item."""
    condition = Condition.SUCCEEDED
    if isinstance(item, Dependency):
        try:
            condition = Condition(item.condition)
        except ValueError:
            raise InvalidGraph(
                f"{where}: unknown condition {shown(item.condition)}"
                f"{nearest(item.condition, list(Condition))}"
            ) from None
        item = item.step
    if isinstance(item, StepHandle):
        return item.id, condition
    if isinstance(item, str):
        return item, condition
    raise InvalidGraph(f"{where}: must hold handles, ids or Dependency(...), got {shown(item)}")


def _metadata(metadata: Any, where: str, limit: int) -> str:
    if not isinstance(metadata, Mapping):
        raise InvalidInput(f"{where}.metadata: must be a mapping, got {shown(metadata)}")
    return encode(dict(metadata), f"{where}.metadata", limit)


def _retry(policy: Any, where: str) -> tuple[str, int]:
    if not isinstance(policy, Retry):
        raise InvalidInput(f"{where}.retry: must be a Retry(...), got {shown(policy)}")
    return policy.to_json(), policy.max_attempts


def check_timeout(value: Any, field: str) -> int:
    """A timeout in microseconds. Raises InvalidInput when it is out of range."""
    return duration_micros(check_duration(value, field, MAX_TIMEOUT))
