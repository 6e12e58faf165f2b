"""Statements that only read."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import sqlalchemy as sa

from stepwell.engine.model import RunFilter, StepFilter
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import RUN_ENDED, RunStatus, StepStatus
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    literal,
    unsuccessful,
)
from stepwell.stores.sql.schema import tables

runs, steps, dependencies = tables.runs, tables.steps, tables.dependencies
results, records, artifacts = tables.results, tables.records, tables.artifacts

ARTIFACT_COLUMNS = (
    *("id", "run_id", "step_id", "name", "kind", "content_type", "size", "sha256", "uri"),
    *("metadata", "created_at"),
)

_OPEN_RUNS = sorted(frozenset(RunStatus) - RUN_ENDED)
_parent_run = runs.alias("parent_run")
_parent_step = steps.alias("parent_step")
_failed = steps.alias("failed_step")


def _failed_step(column: sa.ColumnElement[Any]) -> Any:
    """A column of the step whose failure made the run fail."""
    return sa.select(column).where(_failed.c.id == runs.c.error_step).scalar_subquery()


_RUN = (
    *(runs.c.run_id, runs.c.package, runs.c.entrypoint, runs.c.name, runs.c.status),
    *(runs.c.input, runs.c.metadata, runs.c.tags, runs.c.total_steps, runs.c.open_steps),
    *(runs.c.created_at, runs.c.started_at, runs.c.ended_at),
    sa.select(_parent_run.c.run_id).where(_parent_run.c.id == runs.c.parent_run).scalar_subquery(),
    sa.select(_parent_step.c.step_id)
    .where(_parent_step.c.id == runs.c.parent_step)
    .scalar_subquery(),
    *(runs.c.queue, runs.c.priority, runs.c.partition_key, runs.c.version, runs.c.summary),
    *(runs.c.dedup_key, runs.c.dedup_for, runs.c.replaced, runs.c.start_at, runs.c.start_by),
    *(runs.c.timeout, runs.c.deadline, runs.c.error),
    *(_failed_step(_failed.c.step_id), _failed_step(_failed.c.error)),
)
_STEP = (
    *(steps.c.step_id, runs.c.run_id, steps.c.kind, steps.c.queue, steps.c.status),
    *(steps.c.priority, steps.c.input, steps.c.metadata, steps.c.attempt, steps.c.failures),
    *(steps.c.max_attempts, steps.c.pending, steps.c.dedup_key),
    sa.func.coalesce(steps.c.site, runs.c.package),
    sa.select(_parent_step.c.step_id).where(_parent_step.c.id == steps.c.parent).scalar_subquery(),
    *(steps.c.allow_failure, steps.c.timeout, steps.c.worker, steps.c.error),
    *(steps.c.created_at, steps.c.ready_at, steps.c.started_at, steps.c.ended_at),
    *(steps.c.wait, steps.c.wake_at, steps.c.wait_left, steps.c.held),
)
_ARTIFACT = (
    *(artifacts.c.artifact_id, runs.c.run_id, steps.c.step_id, artifacts.c.name),
    *(artifacts.c.kind, artifacts.c.content_type, artifacts.c.size, artifacts.c.sha256),
    *(artifacts.c.uri, artifacts.c.metadata, artifacts.c.created_at),
)


class ReadStatements(Statements):
    """One for each question the store answers; for lists, one for each set of filters used."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._lists: dict[tuple[object, ...], Statement] = {}
        self._runs()
        self._steps()
        self._results()
        self._needed(dialect)
        self._left_behind()
        self.run_names = Statement(
            sa.select(runs.c.id, runs.c.run_id).where(runs.c.id.in_(dialect.scalars("keys"))),
            "keys",
        )
        self.step_names = Statement(
            sa.select(steps.c.id, steps.c.step_id).where(steps.c.id.in_(dialect.scalars("keys"))),
            "keys",
        )
        # No condition on the status: the database might read all runs with it instead of the ids.
        self.statuses = Statement(
            sa.select(runs.c.run_id, runs.c.status).where(
                runs.c.run_id.in_(dialect.texts("run_ids"))
            ),
            "run_ids",
        )
        self.workers = Statement(sa.select(tables.workers).order_by(tables.workers.c.id))
        self.meta = Statement(sa.select(tables.meta.c.name, tables.meta.c.value))
        self.runs_by_status = Statement(
            sa.select(runs.c.status, sa.func.count()).group_by(runs.c.status)
        )
        self.open_steps = Statement(
            sa.select(sa.func.coalesce(sa.func.sum(runs.c.open_steps), 0)).where(
                runs.c.status.in_([sa.literal_column(f"'{status}'") for status in _OPEN_RUNS])
            )
        )
        self.running = Statement(
            sa.select(sa.func.count()).where(steps.c.status == literal(StepStatus.RUNNING))
        )

    def list_runs(self, tx: StoreTransaction, where: RunFilter, before: int | None) -> Any:
        """Runs under a filter, newest first, of those with a smaller key than `before`."""
        values = _run_values(where, before)
        shape = ("runs", where.dead, *values)
        if shape not in self._lists:
            self._lists[shape] = Statement(_run_list(values, where.dead), *values)
        return self._lists[shape](tx, *values.values())

    def list_steps(
        self, tx: StoreTransaction, run_key: int, where: StepFilter, after: int | None
    ) -> Any:
        """Steps of a run under a filter, in the order they were added, with larger keys."""
        held = where.status is StepStatus.HELD
        status = None if where.status is None or held else str(where.status)
        asked = {"status": status, "kind": where.kind, "after": after, "limit": where.limit}
        values = {name: value for name, value in asked.items() if value is not None}
        shape = ("steps", held, *values)
        if shape not in self._lists:
            self._lists[shape] = Statement(_step_list(values, held), "run_key", *values)
        return self._lists[shape](tx, run_key, *values.values())

    def _runs(self) -> None:
        self.run = Statement(sa.select(*_RUN).where(runs.c.run_id == bind("run_id")), "run_id")
        self.run_key = Statement(
            sa.select(runs.c.id, runs.c.status).where(runs.c.run_id == bind("run_id")), "run_id"
        )
        self.recent_runs = Statement(sa.select(runs.c.run_id).order_by(runs.c.id.desc()).limit(500))
        self.run_counts = Statement(
            sa.select(runs.c.total_steps, runs.c.open_steps).where(runs.c.id == bind("key")),
            "key",
        )
        self.unsuccessful_counts = Statement(
            sa.select(steps.c.status, sa.func.count())
            .where(
                steps.c.run_key == bind("key"),
                unsuccessful(steps.c.status),
            )
            .group_by(steps.c.status),
            "key",
        )
        self.running_steps = Statement(
            sa.select(steps.c.step_id)
            # The sum keeps the index of the run's steps out: few steps run, but a run has many.
            .where(
                steps.c.status == literal(StepStatus.RUNNING),
                steps.c.run_key + sa.literal_column("0") == bind("key"),
            )
            .order_by(steps.c.started_at, steps.c.id)
            .limit(1_000),
            "key",
        )

    def _steps(self) -> None:
        joined = steps.join(runs, runs.c.id == steps.c.run_key)
        self.step_key = Statement(
            sa.select(steps.c.id, steps.c.step_id, steps.c.status, steps.c.error).where(
                steps.c.run_key == bind("run_key"), steps.c.step_id == bind("step_id")
            ),
            *("run_key", "step_id"),
        )
        self.step = Statement(
            sa.select(*_STEP).select_from(joined).where(steps.c.id == bind("key")), "key"
        )
        self.some_steps = Statement(
            sa.select(steps.c.step_id)
            .where(steps.c.run_key == bind("run_key"))
            .order_by(steps.c.id.desc())
            .limit(2_000),
            "run_key",
        )
        target = steps.alias("target")
        self.edges = Statement(
            sa.select(
                steps.c.step_id, target.c.step_id, dependencies.c.condition, dependencies.c.subtree
            )
            .select_from(
                dependencies.join(steps, steps.c.id == dependencies.c.step).join(
                    target, target.c.id == dependencies.c.needs
                )
            )
            .where(steps.c.run_key == bind("run_key"))
            .order_by(dependencies.c.step, dependencies.c.needs),
            "run_key",
        )
        self.emitted = Statement(
            sa.select(steps.c.step_id)
            .where(steps.c.parent == bind("key"), steps.c.parent.is_not(None))
            .order_by(steps.c.id),
            "key",
        )

    def _results(self) -> None:
        left = (steps.c.status, steps.c.error, steps.c.ended_at, results.c.value, results.c.records)
        with_result = steps.outerjoin(results, results.c.step == steps.c.id)
        self.result = Statement(
            sa.select(*left).select_from(with_result).where(steps.c.id == bind("key")), "key"
        )
        # Most steps leave a value and no more: all of that is one statement.
        children = steps.alias("children")
        self.result_and_more = Statement(
            sa.select(
                *left,
                sa.exists().where(artifacts.c.step == steps.c.id),
                sa.exists().where(children.c.parent == steps.c.id, children.c.parent.is_not(None)),
            )
            .select_from(with_result.join(runs, runs.c.id == steps.c.run_key))
            .where(runs.c.run_id == bind("run_id"), steps.c.step_id == bind("step_id")),
            *("run_id", "step_id"),
        )

    def _needed(self, dialect: Any) -> None:
        value = (steps.c.step_id, steps.c.kind, steps.c.status, results.c.value)
        needed = dependencies.join(steps, steps.c.id == dependencies.c.needs).outerjoin(
            results, results.c.step == steps.c.id
        )
        self.dependency_values = Statement(
            sa.select(*value)
            .select_from(needed)
            .where(dependencies.c.step == bind("key"))
            .order_by(steps.c.id),
            "key",
        )
        self.many_values = Statement(
            sa.select(dependencies.c.step, *value)
            .select_from(needed)
            .where(dependencies.c.step.in_(dialect.scalars("keys")))
            .order_by(steps.c.id),
            "keys",
        )
        self.count_dependencies = Statement(
            sa.select(dependencies.c.step, sa.func.count())
            .where(dependencies.c.step.in_(dialect.scalars("keys")))
            .group_by(dependencies.c.step),
            "keys",
        )
        of_record = records.outerjoin(steps, steps.c.id == records.c.step).outerjoin(
            runs, runs.c.id == steps.c.run_key
        )
        written = sa.select(
            *(records.c.key, records.c.value),
            sa.func.coalesce(runs.c.run_id, ""),
            sa.func.coalesce(steps.c.step_id, ""),
            records.c.updated_at,
        ).select_from(of_record)
        mine = (records.c.package == bind("package"), records.c.collection == bind("collection"))
        self.records = Statement(
            written.where(*mine).order_by(records.c.key), *("package", "collection")
        )
        self.record = Statement(
            written.where(*mine, records.c.key == bind("key")),
            *("package", "collection", "key"),
        )
        self.collections = Statement(
            sa.select(records.c.collection, sa.func.count())
            .where(records.c.package == bind("package"))
            .group_by(records.c.collection)
            .order_by(records.c.collection),
            "package",
        )

    def _left_behind(self) -> None:
        of_artifact = artifacts.join(runs, runs.c.id == artifacts.c.run_key).join(
            steps, steps.c.id == artifacts.c.step
        )
        found = sa.select(*_ARTIFACT).select_from(of_artifact)
        self.run_artifacts = Statement(
            found.where(artifacts.c.run_key == bind("key")).order_by(artifacts.c.id), "key"
        )
        self.step_artifacts = Statement(
            found.where(artifacts.c.step == bind("key")).order_by(artifacts.c.id), "key"
        )
        self.stored_artifacts = Statement(
            found.where(artifacts.c.uri.is_not(None), artifacts.c.artifact_id > bind("after"))
            .order_by(artifacts.c.artifact_id)
            .limit(bind("most")),
            *("after", "most"),
        )
        self.artifact = Statement(
            sa.select(*_ARTIFACT, artifacts.c.body)
            .select_from(of_artifact)
            .where(artifacts.c.artifact_id == bind("artifact_id")),
            "artifact_id",
        )
        self._happened()

    def _happened(self) -> None:
        events = tables.events
        of_run = (
            sa.select(
                *(events.c.seq, events.c.type, events.c.at, steps.c.step_id, events.c.attempt),
                *(events.c.worker, events.c.data),
            )
            .select_from(events.outerjoin(steps, steps.c.id == events.c.step))
            .where(events.c.run_key == bind("key"))
        )
        self.events = Statement(
            of_run.where(events.c.seq > bind("after")).order_by(events.c.seq).limit(bind("most")),
            *("key", "after", "most"),
        )
        last = of_run.where(events.c.type == bind("type")).order_by(events.c.seq.desc()).limit(1)
        self.last_event = Statement(last, *("key", "type"))
        self.last_event_of = Statement(
            last.where(events.c.step == bind("step")), *("key", "type", "step")
        )


def _run_values(where: RunFilter, before: int | None) -> dict[str, Any]:
    """The values a list of runs is asked with; their names say what it asks."""
    values: dict[str, Any] = {"limit": where.limit}
    for name in ("package", "status", "name"):
        if (value := getattr(where, name)) is not None:
            values[name] = str(value)
    if where.tag is not None:
        # Tags are a JSON array of strings, written without spaces: only where one begins is a
        # quotation mark preceded by a bracket or a comma.
        tag = encode(where.tag, "tag")
        values |= {"first_tag": f"[{tag}", "next_tag": f",{tag}"}
    if where.prefix is not None:
        values["prefix"] = where.prefix
    if before is not None:
        values["before"] = before
    return values


def _run_list(names: Container[str], dead: bool) -> Any:
    query = sa.select(*_RUN).order_by(runs.c.id.desc()).limit(bind("limit"))
    for name in ("package", "status", "name"):
        if name in names:
            query = query.where(runs.c[name] == bind(name))
    if "first_tag" in names:
        # That it is in there is asked in words that every database has.
        tags = runs.c.tags
        found = [sa.func.replace(tags, bind(n), "") != tags for n in ("first_tag", "next_tag")]
        query = query.where(sa.or_(*found))
    if "prefix" in names:
        # No range of ids: text order is the database's own, and differs between them.
        prefix = bind("prefix")
        query = query.where(sa.func.substr(runs.c.run_id, 1, sa.func.length(prefix)) == prefix)
    if dead:
        query = query.where(*_dead())
    if "before" in names:
        query = query.where(runs.c.id < bind("before"))
    return query


def _dead() -> tuple[Any, ...]:
    """The run failed, and one of its steps because it lost its lease once too often."""
    error = encode({"code": "lease_lost"}, "error").rstrip("}")
    return (
        runs.c.status == sa.literal_column("'failed'"),
        sa.exists().where(
            steps.c.run_key == runs.c.id,
            unsuccessful(steps.c.status),
            steps.c.status == literal(StepStatus.FAILED),
            sa.func.substr(steps.c.error, 1, len(error)) == error,
        ),
    )


def _step_list(names: Container[str], held: bool) -> Any:
    query = (
        sa.select(*_STEP)
        .select_from(steps.join(runs, runs.c.id == steps.c.run_key))
        .where(steps.c.run_key == bind("run_key"))
        .order_by(steps.c.id)
    )
    for name in ("status", "kind"):
        if name in names:
            query = query.where(steps.c[name] == bind(name))
    if held:
        by_itself = sa.and_(
            steps.c.held == sa.literal_column("1"),
            steps.c.status.in_([literal(StepStatus.PENDING), literal(StepStatus.WAITING)]),
        )
        query = query.where(sa.or_(steps.c.status == literal(StepStatus.HELD), by_itself))
    if "after" in names:
        query = query.where(steps.c.id > bind("after"))
    return query.limit(bind("limit")) if "limit" in names else query
