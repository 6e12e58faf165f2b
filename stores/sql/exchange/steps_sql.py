"""Statements that insert steps and move them on."""

from __future__ import annotations

from functools import partial
from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Act, StepStatus
from stepwell.stores.sql.connection.statements import (
    Each,
    Guarded,
    Statement,
    Statements,
    becomes,
    bind,
    insert,
    literal,
    may,
    still_may,
    upsert,
)
from stepwell.stores.sql.exchange.claim_rules import as_found, taking
from stepwell.stores.sql.exchange.ready_rules import counted_down, of_worker, on_hold
from stepwell.stores.sql.exchange.run_options import NEW_RUN_COLUMNS
from stepwell.stores.sql.schema import tables

steps, runs, dependencies = tables.steps, tables.runs, tables.dependencies
repeats = tables.repeats

# The columns of a step without a lease.
_NO_LEASE: dict[str, Any] = {"expires_at": None}

NEW_STEP_COLUMNS = (
    "id",
    "run_key",
    "step_id",
    "kind",
    "queue",
    "status",
    "priority",
    "ready_at",
    "pending",
    "attempt",
    "failures",
    "lost_leases",
    "max_attempts",
    "timeout",
    "retry",
    "allow_failure",
    "input",
    "metadata",
    "dedup_key",
    "site",
    "parent",
    "token",
    "created_at",
    "max_recoveries",
)


def _end(act: Act, given: Any, **values: Any) -> Any:
    """End an execution, if its lease is still the given one."""
    return (
        sa.update(steps)
        .values(status=becomes(act), **_NO_LEASE, **values)
        .where(
            steps.c.id == given.c.id,
            steps.c.token == given.c.token,
            still_may(act, steps.c.status),
        )
    )


# The parameters of `SettleStatements.hand_on`.
HAND_ON = ("now", "worker", "expires", "suspect_from", "kinds", "queues")


def _count_down(counts: Any) -> Any:
    """Count down the unmet dependencies of these steps; with none left they are ready."""
    return (
        sa.update(steps)
        .values(counted_down(counts.c.count, bind("now")))
        .where(steps.c.id == counts.c.id, still_may(Act.READY, steps.c.status))
    )


def _hand_on(dialect: Any, counts: Any) -> Any:
    """Claim the steps of `counts` that become ready by it, as long as nothing else is ready.

    Returns the columns of `as_found`. `Claiming.offer` and `Stepwise.count_down` say when it may.
    """
    other = steps.alias("other")
    others = sa.exists().where(may(Act.CLAIM, other.c.status))
    fits = of_worker(dialect, bind("suspect_from"))
    return (
        sa.update(steps)
        .values(**taking(), pending=sa.literal_column("0"), ready_at=bind("now"))
        .where(
            steps.c.id == counts.c.id,
            steps.c.pending == counts.c.count,
            still_may(Act.READY, steps.c.status),
            *(fits.kind, fits.queue, fits.not_suspect),
            ~on_hold(runs.c.id == steps.c.run_key),
            ~others,
        )
        .returning(*as_found())
    )


class SettleStatements(Statements):
    """Each takes many steps at once; those of an execution check its token themselves."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._held(dialect)
        self._waits(dialect)
        self._edges(dialect)
        self._propagation(dialect)
        self._effects(dialect)

    def _held(self, dialect: Any) -> None:
        """Ends of an execution, each guarded by the token in the same statement."""
        ids: dict[str, Any] = {"id": sa.BigInteger, "token": sa.BigInteger}
        self.succeed = Guarded(
            dialect,
            lambda given: _end(Act.SUCCEED, given, ended_at=bind("now"), error=None),
            "now",
            **ids,
        )
        # The ready time stays, so that the step keeps its place in the queue.
        self.release = Guarded(
            dialect, lambda given: _end(Act.RELEASE, given, attempt=steps.c.attempt - 1), **ids
        )
        self.fail = Guarded(
            dialect,
            lambda given: _end(
                Act.FAIL,
                given,
                ended_at=bind("now"),
                error=given.c.error,
                failures=steps.c.failures + 1,
            ),
            "now",
            **ids,
            error=sa.Text,
        )
        self.retry = Guarded(
            dialect,
            lambda given: _end(
                Act.RETRY,
                given,
                ready_at=given.c.ready_at,
                error=given.c.error,
                failures=steps.c.failures + 1,
                wait=None,
                wake_at=None,
            ),
            **ids,
            error=sa.Text,
            ready_at=sa.BigInteger,
        )

    def _waits(self, dialect: Any) -> None:
        self.suspend = Guarded(
            dialect,
            lambda given: _end(
                Act.SUSPEND,
                given,
                attempt=steps.c.attempt - 1,
                wait=given.c.wait,
                wait_for=given.c.wait_for,
                wake_at=given.c.wake_at,
            ),
            id=sa.BigInteger,
            token=sa.BigInteger,
            wait=sa.Text,
            wait_for=sa.Text,
            wake_at=sa.BigInteger,
        )
        self.status_of = Statement(
            sa.select(steps.c.id, steps.c.run_key, steps.c.status, steps.c.token).where(
                steps.c.id.in_(dialect.scalars("keys"))
            ),
            "keys",
        )

    def _edges(self, dialect: Any) -> None:
        """Dependents of steps that ended, and dependents of their subtrees."""
        self.dependents = Each(
            dialect,
            lambda given: (
                sa.select(
                    dependencies.c.step,
                    dependencies.c.condition,
                    sa.func.count(),
                    sa.func.min(dependencies.c.needs),
                )
                .where(dependencies.c.needs == given.c.key)
                .group_by(dependencies.c.step, dependencies.c.condition)
            ),
            key=sa.BigInteger,
        )
        self.subtree_dependents = Statement(
            sa.select(dependencies.c.needs, dependencies.c.step, dependencies.c.condition).where(
                dependencies.c.needs.in_(dialect.scalars("keys")),
                dependencies.c.subtree == 1,
            ),
            "keys",
        )

    def _propagation(self, dialect: Any) -> None:
        """What the end of a step does to other steps."""
        counts: dict[str, Any] = {"id": sa.BigInteger, "count": sa.BigInteger}
        self.count_down = Each(dialect, _count_down, "now", **counts)
        self.hand_on = Each(dialect, partial(_hand_on, dialect), *HAND_ON, **counts)
        given = dialect.rows("rows", **counts)
        self.count_up = Statement(
            sa.update(steps)
            .values(pending=steps.c.pending + given.c.count)
            .where(steps.c.id == given.c.id, steps.c.status == literal(StepStatus.PENDING)),
            "rows",
        )
        ended = dialect.rows("rows", id=sa.BigInteger, error=sa.Text, cause=sa.BigInteger)

        def drop(act: Act) -> Statement:
            return Statement(
                sa.update(steps)
                .values(
                    status=becomes(act),
                    ended_at=bind("now"),
                    error=ended.c.error,
                    cause=ended.c.cause,
                )
                .where(steps.c.id == ended.c.id, steps.c.status == literal(StepStatus.PENDING))
                .returning(steps.c.id, steps.c.run_key),
                "now",
                "rows",
            )

        self.cancel = drop(Act.CANCEL)
        self.skip = drop(Act.SKIP)
        # These steps and all that require them, at any distance.
        fallen = dialect.scalars("keys").subquery("fallen")
        below = sa.select(fallen.c.value.label("step")).cte("below", recursive=True)
        below = below.union(
            sa.select(dependencies.c.step).where(
                dependencies.c.needs == below.c.step,
                dependencies.c.condition == sa.literal_column("'succeeded'"),
            )
        )
        self.required_below = Statement(sa.select(below.c.step), "keys")
        self.names = Statement(
            sa.select(steps.c.id, steps.c.step_id, steps.c.cause, steps.c.status).where(
                steps.c.id.in_(dialect.scalars("keys"))
            ),
            "keys",
        )

    def _effects(self, dialect: Any) -> None:
        """What an execution has made."""
        self.add_steps = insert(dialect, steps, *NEW_STEP_COLUMNS)
        self.add_edges = insert(dialect, dependencies)
        self.add_results = insert(dialect, tables.results)
        self.add_artifacts = insert(
            dialect,
            tables.artifacts,
            *(column.name for column in tables.artifacts.columns if column.name != "id"),
        )
        self.put_records = upsert(dialect, tables.records, "package", "collection", "key")
        self.clear_artifacts = Statement(
            sa.delete(tables.artifacts).where(tables.artifacts.c.step.in_(dialect.scalars("keys"))),
            "keys",
        )


class GraphStatements(Statements):
    """Look-ups that check an emission against the run it goes into."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._look_up(dialect)
        self._follow(dialect)
        self._write()

    def _look_up(self, dialect: Any) -> None:
        wanted = dialect.rows("rows", run_key=sa.BigInteger, step_id=sa.Text)
        self.find = Statement(
            sa.select(steps.c.run_key, steps.c.step_id, steps.c.id, steps.c.status).where(
                steps.c.run_key == wanted.c.run_key, steps.c.step_id == wanted.c.step_id
            ),
            "rows",
        )
        keys = dialect.rows("rows", run_key=sa.BigInteger, dedup_key=sa.Text)
        self.find_dedup = Statement(
            sa.select(
                steps.c.run_key, steps.c.dedup_key, steps.c.id, steps.c.status, steps.c.step_id
            ).where(
                steps.c.run_key == keys.c.run_key,
                steps.c.dedup_key == keys.c.dedup_key,
                steps.c.dedup_key.is_not(None),
            ),
            "rows",
        )
        self.some_ids = Statement(
            sa.select(steps.c.step_id)
            .where(steps.c.run_key == bind("run_key"))
            .order_by(steps.c.id.desc())
            .limit(2_000),
            "run_key",
        )

    def _follow(self, dialect: Any) -> None:
        """The graph above and below steps, at any depth."""
        below = (
            sa.select(steps.c.id, steps.c.status)
            .where(steps.c.id.in_(dialect.scalars("keys")))
            .cte("below", recursive=True)
        )
        below = below.union(
            sa.select(steps.c.id, steps.c.status).where(steps.c.parent == below.c.id)
        )
        has_repeated = sa.exists().where(repeats.c.emitter == below.c.id).correlate(below)
        # Includes the given steps.
        self.descendants = Statement(sa.select(below.c.id, below.c.status, has_repeated), "keys")
        above = (
            sa.select(steps.c.id, steps.c.parent)
            .where(steps.c.id == bind("key"))
            .cte("above", recursive=True)
        )
        above = above.union_all(
            sa.select(steps.c.id, steps.c.parent).where(steps.c.id == above.c.parent)
        )
        self.ancestors = Statement(sa.select(above.c.id), "key")
        downstream = (
            sa.select(dependencies.c.step)
            .where(dependencies.c.needs.in_(dialect.scalars("keys")))
            .cte("downstream", recursive=True)
        )
        downstream = downstream.union(
            sa.select(dependencies.c.step).where(dependencies.c.needs == downstream.c.step)
        )
        self.downstream = Statement(sa.select(downstream.c.step), "keys")

    def _write(self) -> None:
        meta = tables.meta
        self.lock_runs = Statement(
            sa.select(runs.c.id)
            .where(runs.c.id.in_(self.dialect.scalars("keys")))
            .order_by(runs.c.id)
            # Does not block foreign keys that look whether the run exists.
            .with_for_update(key_share=True),
            "keys",
        )
        self.parents = Statement(
            sa.select(runs.c.parent_run).where(
                runs.c.id.in_(self.dialect.scalars("keys")), runs.c.parent_run.is_not(None)
            ),
            "keys",
        )
        self.reserve_graphs = Statement(
            sa.update(meta)
            .values(
                value=meta.c.value
                + sa.case(
                    (meta.c.name == sa.literal_column("'next_run'"), bind("runs")),
                    else_=bind("steps"),
                )
            )
            .where(
                meta.c.name.in_([sa.literal_column("'next_run'"), sa.literal_column("'next_step'")])
            )
            .returning(meta.c.name, meta.c.value),
            *("runs", "steps"),
        )
        self.taken = Statement(
            sa.select(runs.c.run_id).where(runs.c.run_id.in_(self.dialect.texts("run_ids"))),
            "run_ids",
        )
        self.bump_control = Statement(
            sa.update(meta)
            .values(value=meta.c.value + 1)
            .where(meta.c.name == sa.literal_column("'control'"))
        )
        self.control = Statement(
            sa.select(meta.c.value).where(meta.c.name == sa.literal_column("'control'"))
        )
        self.add_run = insert(self.dialect, runs, *NEW_RUN_COLUMNS)
