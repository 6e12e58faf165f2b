"""What can be said of a run when it starts, and what lists tell of it.

Runs that use none of it have nulls here, which no index holds.
"""

from __future__ import annotations

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE runs ADD COLUMN queue TEXT",
    "ALTER TABLE runs ADD COLUMN priority {key}",
    "ALTER TABLE runs ADD COLUMN partition_key TEXT",
    "ALTER TABLE runs ADD COLUMN version TEXT",
    "ALTER TABLE runs ADD COLUMN summary TEXT",
    "ALTER TABLE runs ADD COLUMN dedup_key TEXT",
    "ALTER TABLE runs ADD COLUMN dedup_for {key} CHECK (dedup_for > 0)",
    "ALTER TABLE runs ADD COLUMN replaced {key} CHECK (replaced > 0)",
    "ALTER TABLE runs ADD COLUMN start_at {key}",
    "ALTER TABLE runs ADD COLUMN start_by {key}",
    "ALTER TABLE runs ADD COLUMN timeout {key} CHECK (timeout > 0)",
    # From when the timeout counts, if that is not the start: it was paused, or retried.
    "ALTER TABLE runs ADD COLUMN timeout_from {key}",
    "ALTER TABLE runs ADD COLUMN paused_at {key}",
    "ALTER TABLE runs ADD COLUMN deadline {key}",
    # The first failure that nothing handled: of a step, or of the run itself (JSON text).
    "ALTER TABLE runs ADD COLUMN error_step {key}",
    "ALTER TABLE runs ADD COLUMN error TEXT",
    "ALTER TABLE runs ADD COLUMN label TEXT",
    "ALTER TABLE runs ADD COLUMN colour TEXT",
    "ALTER TABLE runs ADD COLUMN forked_from {key}",
    # At most one run of a key waits to begin.
    "CREATE UNIQUE INDEX runs_waiting_by_key ON runs (package, dedup_key) "
    "WHERE dedup_key IS NOT NULL AND started_at IS NULL AND ended_at IS NULL",
    "CREATE INDEX runs_by_dedup_key ON runs (package, dedup_key, id) "
    "WHERE dedup_key IS NOT NULL AND (ended_at IS NULL OR dedup_for IS NOT NULL)",
    "CREATE INDEX runs_by_timeout ON runs ((COALESCE(timeout_from, started_at) + timeout)) "
    "WHERE timeout IS NOT NULL AND status = 'running'",
    "CREATE INDEX runs_by_deadline ON runs (deadline) "
    "WHERE deadline IS NOT NULL AND ended_at IS NULL",
    "CREATE INDEX runs_by_start_by ON runs (start_by) "
    "WHERE start_by IS NOT NULL AND started_at IS NULL AND ended_at IS NULL",
)
