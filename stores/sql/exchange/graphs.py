"""Storing new runs and emitted steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell.engine.errors import Conflict
from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, Edge, NewRun, NewStep
from stepwell.engine.states import Condition, RunStatus, Verdict, verdict
from stepwell.stores.sql.connection.corruption import decodes, stored_status
from stepwell.stores.sql.connection.statements import (
    StoreTransaction,
    rows_json,
)
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.emissions import Emission, Emissions, Target
from stepwell.stores.sql.exchange.new_runs import ready_among
from stepwell.stores.sql.exchange.plan import NewRows, Plan
from stepwell.stores.sql.exchange.propagation import Propagation
from stepwell.stores.sql.exchange.repeats import Repeats, RepeatStatements
from stepwell.stores.sql.exchange.run_options import RunOptionRows, begins_at
from stepwell.stores.sql.exchange.steps_sql import (
    GraphStatements,
    SettleStatements,
)

_CONDITIONS = {condition: condition.value for condition in Condition}


@dataclass(slots=True)
class _Placement:
    """New steps on their way into a run, and what becomes of their edges.

    `unsettled` are steps that ended in this transaction and whose edges were not followed yet. They
    count as unmet, because following them will count their dependents down. So do the `late` joins
    (see `Emission`), until all that they wait for is known.
    `begins` is when the steps may be claimed, if that is not now.
    """

    steps: Sequence[NewStep]
    parent: ClaimedStep | None = None
    targets: dict[str, Target] = field(default_factory=dict)
    unsettled: frozenset[int] = frozenset()
    index: dict[str, int] = field(default_factory=dict)
    edges: list[tuple[int, int, str, int]] = field(default_factory=list)
    dropped: list[tuple[Verdict, int, int]] = field(default_factory=list)
    begins: int | None = None
    late: list[tuple[int, Condition, int]] = field(default_factory=list)


class Graphs(Emissions):
    """Writes graphs in a transaction given by the caller."""

    def __init__(self, sql: GraphStatements, settle: SettleStatements, plan: Plan) -> None:
        super().__init__(sql, settle)
        self._plan = plan
        self._repeat_sql = RepeatStatements(sql.dialect)
        self._options = RunOptionRows(sql.dialect)

    def reserve(self, tx: StoreTransaction, runs: int, steps: int) -> tuple[int, int]:
        """Reserve keys for this many runs and steps; returns the first of each.

        Keys are never given twice. It always locks both counters: two transactions that locked one
        each, and then the other, would deadlock.
        """
        return _first(self._sql.reserve_graphs(tx, runs, steps).fetchall(), runs, steps)

    def taken(self, tx: StoreTransaction, run_ids: Sequence[str]) -> set[str]:
        """Those of these ids that runs have. The others stay free until this transaction ends."""
        if not run_ids:
            return set()
        if tx.dialect.concurrent:
            self.reserve(tx, 0, 0)  # from here on others that create runs wait
        return {row[0] for row in self._sql.taken(tx, rows_json(list(run_ids))).fetchall()}

    def lock_runs(self, tx: StoreTransaction, keys: Iterable[int], *, to_end: bool = False) -> None:
        """Where transactions run side by side, let only one at a time change these runs.

        A run is always locked before its steps, and runs in the order of keys (see `stores.sql`):
        so there are no deadlocks, and no edge is added to a step whose edges were just followed.

        `to_end` also locks the runs that started these: the end of a run wakes a step there.
        """
        locked = set(keys)
        if tx.dialect.concurrent and locked:
            if to_end:
                locked |= {row[0] for row in self._sql.parents(tx, rows_json(sorted(locked)))}
            self._sql.lock_runs(tx, rows_json(sorted(locked))).fetchall()

    def raise_control(self, tx: StoreTransaction) -> None:
        """Raise the control number: all workers look again at what they know of the store."""
        self._sql.bump_control(tx)

    def add_run(self, changes: Changes, run: NewRun, parent: ClaimedStep | None = None) -> int:
        """Store a run with its steps; returns its key. Raises Conflict when the id is taken."""
        (added,) = self.add_runs(changes, (run,), parent)
        if isinstance(added, Conflict):
            raise added
        return added

    def add_runs(
        self, changes: Changes, runs: Sequence[NewRun], parent: ClaimedStep | None = None
    ) -> list[int | Conflict]:
        """Store runs with their steps; returns for each its key, or that its id is taken."""
        first, rows = self._reserve_and_look(changes.tx, runs)
        taken = {row[0] for row in rows}
        added: list[int | Conflict] = []
        new: list[NewRun] = []
        for run in runs:
            if run.id in taken:
                added.append(id_is_taken(run.id))
            else:
                added.append(first[0] + len(new))
                taken.add(run.id)
                new.append(run)
        if new:
            self._add_new_runs(changes, new, parent, first)
        return added

    def _reserve_and_look(
        self, tx: StoreTransaction, runs: Sequence[NewRun]
    ) -> tuple[tuple[int, int], list[Any]]:
        """Reserve keys for these runs; returns the first ones, and which ids are taken.

        Others that create runs wait from then on, so that an id cannot be taken in between.
        """
        counts = len(runs), sum(len(run.steps) for run in runs)
        reserved = self._sql.reserve_graphs(tx, *counts)
        # A cursor loses its rows with the next statement. In a pipeline each statement has its own
        # rows, so both statements are sent before either is waited for.
        after = reserved.fetchall() if not tx.dialect.pipelined else None
        taken = self._sql.taken(tx, rows_json([run.id for run in runs])).fetchall()
        return _first(reserved.fetchall() if after is None else after, *counts), taken

    def _add_new_runs(
        self,
        changes: Changes,
        runs: Sequence[NewRun],
        parent: ClaimedStep | None,
        first: tuple[int, int],
    ) -> None:
        tx = changes.tx
        parents = (parent.run.key, parent.key) if parent else (None, None)
        first_run, first_step = first
        rows, step_rows, edges, events = [], [], [], []
        for key, run in enumerate(runs, first_run):
            placement = _Placement(run.steps)
            if run.options is not None:
                placement.begins = begins_at(run.options, tx.now)
            step_rows += self._place(tx, key, run.package, placement, first_step)
            edges += placement.edges
            # Counts and first event are stored with the run, so that nothing has to be read.
            count = len(run.steps)
            rows.append(_row(key, run, (count, count, 1), parents, tx.now))
            events.append(changes.created(key, {"steps": count, "package": run.package}))
            if not count:
                changes.steps_opened(key, 0)  # it ends at once
            first_step += count
        self._plan.add_runs(changes, NewRows(rows, step_rows, edges, events))
        self._options.store(tx, list(enumerate(runs, first_run)))

    def replace_run(self, changes: Changes, key: int, run: NewRun, created_at: int) -> None:
        """Give a run that has not begun, and is locked, another input, graph and options."""
        tx, options = changes.tx, run.options
        assert options is not None
        begins = begins_at(options, tx.now)
        if options.max_delay is not None:
            begins = max(tx.now, min(begins, created_at + options.max_delay))
        before = self._options.sql.drop_steps(tx, key).fetchall()
        self._options.replace(tx, key, run, begins, holds=sum(row[0] for row in before))
        placement = _Placement(run.steps, begins=begins)
        _, first = self.reserve(tx, 0, len(run.steps))
        rows = self._place(tx, key, run.package, placement, first)
        self._insert(tx, rows, placement.edges)
        tx.made_ready.update(ready_among(rows))
        more = len(run.steps) - len(before)
        changes.steps_added(key, more, more)
        changes.readied(range(first, first + len(rows)))
        changes.event(key, EventType.RUN_REPLACED, data={"steps": len(rows)})

    def add_emissions(
        self,
        changes: Changes,
        emissions: Sequence[Emission],
        propagation: Propagation,
        unsettled: frozenset[int],
    ) -> None:
        """Store what several executions emitted, as if one after the other."""
        tx = changes.tx
        repeats = Repeats(tx, (self._repeat_sql, self._settle, self._sql), propagation, unsettled)
        repeats.store(emissions)
        # A step stored here may have a subtree dependency on a step that emits here, too.
        entangled = len(emissions) > 1 and any(item.awaits_subtrees for item in emissions)
        for emission in emissions:
            if entangled:
                key = emission.parent.key
                emission.joins = self._joins(tx, [key]).get(key, [])
            self._add_emission(changes, emission, propagation, unsettled)
        repeats.join(emissions)

    def _add_emission(
        self,
        changes: Changes,
        emission: Emission,
        propagation: Propagation,
        unsettled: frozenset[int],
    ) -> None:
        """Store emitted steps. `unsettled` ended in this transaction and were not followed yet."""
        run = emission.parent.run
        placement = _Placement(emission.steps, emission.parent, emission.targets, unsettled)
        keys = self._add_steps(changes, run.key, run.package, placement)
        for ruling, key, origin in placement.dropped:
            propagation.drop(ruling, key, origin)
        emission.late = placement.late
        if emission.joins and keys:
            tx = changes.tx
            self._settle.add_edges.many(
                tx,
                [(key, step, condition, 1) for step, condition in emission.joins for key in keys],
            )
            rows = [(step, len(keys)) for step, _ in emission.joins]
            self._settle.count_up(tx, rows_json(rows))

    def _add_steps(
        self, changes: Changes, run_key: int, package: str, placement: _Placement
    ) -> range:
        """Insert the placement's steps and edges; returns the keys of the steps."""
        tx = changes.tx
        count = len(placement.steps)
        if not count:
            return range(0)
        _, first = self.reserve(tx, 0, count)
        rows = self._place(tx, run_key, package, placement, first)
        self._insert(tx, rows, placement.edges)
        tx.made_ready.update(ready_among(rows))
        keys = range(first, first + count)
        changes.steps_added(run_key, count, count)
        changes.readied(keys)
        return keys

    def _insert(
        self,
        tx: StoreTransaction,
        steps: Sequence[tuple[Any, ...]],
        edges: Sequence[tuple[int, int, str, int]],
    ) -> None:
        self._settle.add_steps.many(tx, steps)
        if edges:
            self._settle.add_edges.many(tx, edges)

    def _place(
        self, tx: StoreTransaction, run_key: int, package: str, placement: _Placement, first: int
    ) -> list[tuple[Any, ...]]:
        """The rows of the placement's steps, with keys from `first` on; notes the edges in it."""
        steps = placement.steps
        placement.index = {new.id: key for key, new in enumerate(steps, first)}
        parent = placement.parent.key if placement.parent else None
        now = tx.now
        ready_at = now if placement.begins is None else placement.begins
        rows = []
        for key, new in enumerate(steps, first):
            pending = self._place_edges(tx, key, new, placement) if new.edges else 0
            rows.append(
                (  # flat, as there may be a million
                    key,
                    run_key,
                    new.id,
                    new.kind,
                    new.queue,
                    "pending" if pending else "ready",
                    new.priority,
                    ready_at,
                    pending,
                    0,
                    0,
                    0,
                    new.max_attempts,
                    new.timeout,
                    new.retry,
                    int(new.allow_failure),
                    new.input,
                    new.metadata,
                    new.dedup_key,
                    None if new.package == package else new.package,
                    parent,
                    0,
                    now,
                    new.max_recoveries,
                )
            )
        return rows

    def _place_edges(
        self, tx: StoreTransaction, key: int, new: NewStep, placement: _Placement
    ) -> int:
        """Note the edges of a new step, to subtrees too; returns how many are unmet."""
        index = placement.index
        pending = 0
        seen: dict[int, int] = {}
        for edge in new.edges:
            target = index.get(edge.target)
            if target is None:
                pending += self._place_stored_edge(tx, key, edge, placement, seen)
            else:
                condition = _CONDITIONS[edge.condition]
                placement.edges.append((target, key, condition, int(edge.subtree)))
                pending += 1
        return pending

    def _place_stored_edge(
        self,
        tx: StoreTransaction,
        key: int,
        edge: Edge,
        placement: _Placement,
        seen: dict[int, int],
    ) -> int:
        """Note an edge to a stored step, or to it and all below it; returns how many are unmet.

        `seen` has the places in `placement.edges` of the edges of this step, by their targets.
        """
        pending = 0
        below = [placement.targets[edge.target]]
        if edge.subtree:
            top = below[0][0]
            rows = self._sql.descendants(tx, rows_json([top])).fetchall()
            below += [(row[0], stored_status(row[1])) for row in rows if row[0] != top]
            if any(row[2] for row in rows):
                placement.late.append((key, edge.condition, top))
                pending += 1
        for target, status in below:
            if (place := seen.get(target)) is not None:
                if edge.subtree:  # one edge for both: it includes what the target emits
                    placement.edges[place] = (*placement.edges[place][:3], 1)
                continue
            seen[target] = len(placement.edges)
            condition = _CONDITIONS[edge.condition]
            placement.edges.append((target, key, condition, int(edge.subtree)))
            ruling = verdict(edge.condition, status)
            if target in placement.unsettled or ruling is Verdict.WAIT:
                pending += 1
            elif ruling is not Verdict.MET:
                pending += 1
                placement.dropped.append((ruling, key, target))
        return pending


@decodes
def _first(after: Sequence[Any], runs: int, steps: int) -> tuple[int, int]:
    """The first of the reserved keys, from the counters as they are after the reservation."""
    counters: dict[str, int] = dict(after)
    return counters["next_run"] - runs, counters["next_step"] - steps


def _row(
    key: int,
    run: NewRun,
    counts: tuple[int, int, int],
    parents: tuple[int | None, int | None],
    now: int,
) -> tuple[Any, ...]:
    """The row of a new run; `counts` are its steps, those that are open, and its events."""
    about = (key, run.id, run.package, run.entrypoint, run.name, RunStatus.PENDING.value)
    payloads = (run.input, run.metadata, run.tags)
    return (*about, *payloads, *counts, *parents, now, None, None, 0)


def id_is_taken(run_id: str) -> Conflict:
    """The error of a second run with the same id."""
    return Conflict(f"run {run_id!r} exists already; choose another run_id, or read that run")
