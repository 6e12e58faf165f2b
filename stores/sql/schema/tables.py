"""The tables, for building statements. `migrations` makes them; a test compares the two.

Keys are integers; times are epoch microseconds UTC; payloads are JSON text.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()


def _table(name: str, *columns: sa.Column[object]) -> sa.Table:
    return sa.Table(name, METADATA, *columns)


def _key(name: str = "id") -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, primary_key=True)


def _int(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger)


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text)


meta = _table("meta", _text("name"), _int("value"))

runs = _table(
    "runs",
    _key(),
    _text("run_id"),
    _text("package"),
    _text("entrypoint"),
    _text("name"),
    _text("status"),
    _text("input"),
    _text("metadata"),
    _text("tags"),
    _int("total_steps"),
    _int("open_steps"),
    _int("event_seq"),
    _int("parent_run"),
    _int("parent_step"),
    _int("created_at"),
    _int("started_at"),
    _int("ended_at"),
    _int("holds"),
    _text("queue"),
    _int("priority"),
    _text("partition_key"),
    _text("version"),
    _text("summary"),
    _text("dedup_key"),
    _int("dedup_for"),
    _int("replaced"),
    _int("start_at"),
    _int("start_by"),
    _int("timeout"),
    _int("timeout_from"),
    _int("paused_at"),
    _int("deadline"),
    _int("error_step"),
    _text("error"),
    _text("label"),
    _text("colour"),
    _int("forked_from"),
)

steps = _table(
    "steps",
    _key(),
    _int("run_key"),
    _text("step_id"),
    _text("kind"),
    _text("queue"),
    _text("status"),
    _int("priority"),
    _int("ready_at"),
    _int("pending"),
    _int("attempt"),
    _int("failures"),
    _int("lost_leases"),
    _int("max_attempts"),
    _int("timeout"),
    _text("retry"),
    _int("allow_failure"),
    _text("input"),
    _text("metadata"),
    _text("dedup_key"),
    _text("site"),  # the package whose executor runs it, if that is not the run's
    _int("parent"),
    _text("worker"),
    _int("token"),
    _int("expires_at"),
    _text("error"),
    _int("cause"),
    _text("wait"),
    _text("wait_for"),
    _int("wake_at"),
    _int("created_at"),
    _int("started_at"),
    _int("ended_at"),
    _int("wait_left"),
    _int("held"),
    _int("max_recoveries"),
)

dependencies = _table(
    "dependencies",
    _int("needs"),
    _int("step"),
    _text("condition"),
    _int("subtree"),
)

results = _table("results", _key("step"), _text("value"), _text("records"), _int("committed_at"))

records = _table(
    "records",
    _text("package"),
    _text("collection"),
    _text("key"),
    _text("value"),
    _int("step"),
    _int("updated_at"),
)

artifacts = _table(
    "artifacts",
    _key(),
    _text("artifact_id"),
    _int("run_key"),
    _int("step"),
    _text("name"),
    _text("kind"),
    _text("content_type"),
    _text("metadata"),
    _int("size"),
    _text("sha256"),
    _text("uri"),
    sa.Column("body", sa.LargeBinary),
    _int("created_at"),
)

queues = _table(
    "queues",
    _text("name"),
    _int("max_in_flight"),
    sa.Column("rate_limit", sa.Float),
    _int("rate_period"),
    _int("burst"),
    sa.Column("tokens", sa.Float),
    _int("refilled_at"),
    _int("max_per_worker"),
    _text("labels"),
)

events = _table(
    "events",
    _int("run_key"),
    _int("seq"),
    _text("type"),
    _int("at"),
    _int("step"),
    _int("attempt"),
    _text("worker"),
    _text("data"),
)

workers = _table(
    "workers",
    _text("id"),
    _text("host"),
    _int("pid"),
    _text("version"),
    _text("queues"),
    _int("started_at"),
    _int("seen_at"),
    _text("kinds"),
    _text("labels"),
)

messages = _table(
    "messages",
    _key(),
    _int("run_key"),
    _text("topic"),
    _text("payload"),
    _text("key"),
    _text("sender"),
    _int("receiver"),
    _text("operation"),
    _int("created_at"),
)

values = _table(
    "values",
    _int("run_key"),
    _text("key"),
    _int("seq"),
    _text("value"),
    _int("step"),
    _text("operation"),
    _int("at"),
)

waits = _table("waits", _int("step"), _text("name"))

# What a step would have emitted, but for a dedup key: the step that had the key already.
repeats = _table("repeats", _int("emitter"), _int("step"))

kv = _table(
    "kv",
    _text("key"),
    _text("value"),
    _int("version"),
    _int("expires_at"),
    _int("updated_at"),
)

checkpoints = _table(
    "checkpoints",
    _text("execution_id"),
    _text("head"),
    _int("pause_requested"),
    _text("pause_reason"),
    _int("updated_at"),
)

checkpoint_operations = _table(
    "checkpoint_operations",
    _text("execution_id"),
    _int("seq"),
    _text("operation_id"),
    _text("body"),
)
