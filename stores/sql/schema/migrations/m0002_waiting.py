"""Messages, values, key-values, checkpoints; waits for any of them; paused runs and held steps.

`{ordered}` makes a text column sort by its code points, whatever the database's own order.
"""

from __future__ import annotations

STATEMENTS: tuple[str, ...] = (
    # What a step waits for has one name, whatever it is; see `stores.sql.waiting`.
    "DROP INDEX steps_awaiting_run",
    "ALTER TABLE steps RENAME COLUMN wait_run TO wait_for",
    "UPDATE steps SET wait_for = 'run:' || wait_for WHERE wait_for IS NOT NULL",
    "CREATE INDEX steps_awaiting ON steps (wait_for) "
    "WHERE status = 'waiting' AND wait_for IS NOT NULL",
    "ALTER TABLE steps ADD COLUMN wait_left {key}",
    "ALTER TABLE steps ADD COLUMN held {key} NOT NULL DEFAULT 0 CHECK (held IN (0, 1))",
    "ALTER TABLE steps ADD COLUMN max_recoveries {key} CHECK (max_recoveries >= 0)",
    "CREATE INDEX steps_held ON steps (run_key) WHERE held = 1",
    "ALTER TABLE runs ADD COLUMN holds {key} NOT NULL DEFAULT 0 CHECK (holds >= 0)",
    """CREATE TABLE messages (
        id {identity},
        run_key {key} NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        topic TEXT NOT NULL,
        payload TEXT NOT NULL,
        key TEXT,
        sender TEXT,
        receiver {key} REFERENCES steps (id) ON DELETE CASCADE,
        operation TEXT,
        created_at {key} NOT NULL,
        CHECK ((receiver IS NULL) = (operation IS NULL))
    )""",
    "CREATE INDEX messages_by_run ON messages (run_key, id)",
    "CREATE INDEX messages_unreceived ON messages (run_key, topic, id) WHERE receiver IS NULL",
    "CREATE UNIQUE INDEX messages_received ON messages (receiver, operation) "
    "WHERE receiver IS NOT NULL",
    "CREATE UNIQUE INDEX messages_by_key ON messages (run_key, key) WHERE key IS NOT NULL",
    """CREATE TABLE "values" (
        run_key {key} NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        seq {key} NOT NULL,
        value TEXT NOT NULL,
        step {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        operation TEXT NOT NULL,
        at {key} NOT NULL,
        PRIMARY KEY (run_key, key, seq),
        UNIQUE (step, operation)
    ){clustered}""",
    """CREATE TABLE kv (
        key TEXT{ordered} PRIMARY KEY,
        value TEXT NOT NULL,
        version {key} NOT NULL,
        expires_at {key},
        updated_at {key} NOT NULL
    )""",
    "CREATE INDEX kv_by_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL",
    # No foreign keys to steps: a checkpointer that stands alone has the same tables.
    """CREATE TABLE checkpoints (
        execution_id TEXT PRIMARY KEY,
        head TEXT NOT NULL,
        pause_requested {key} NOT NULL DEFAULT 0,
        pause_reason TEXT NOT NULL DEFAULT '',
        updated_at {key} NOT NULL
    )""",
    """CREATE TABLE checkpoint_operations (
        execution_id TEXT NOT NULL REFERENCES checkpoints (execution_id) ON DELETE CASCADE,
        seq {key} NOT NULL,
        operation_id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (execution_id, operation_id)
    ){clustered}""",
    "CREATE INDEX checkpoint_operations_by_seq ON checkpoint_operations (execution_id, seq)",
)
