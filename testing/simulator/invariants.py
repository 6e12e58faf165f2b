"""What must be true of the database after all activity has ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from stepwell.testing.simulator.audit import Audit

# Each query returns a row for each offender.
_QUESTIONS = (
    (
        "step {} has {} unmet dependencies and says {}",
        """SELECT s.step_id, count(t.id), s.pending FROM steps s
        LEFT JOIN dependencies d ON d.step = s.id
        LEFT JOIN steps t ON t.id = d.needs
            AND t.status NOT IN ('succeeded', 'failed', 'canceled', 'skipped')
        WHERE s.status NOT IN ('succeeded', 'failed', 'canceled', 'skipped')
        GROUP BY s.id HAVING count(t.id) <> s.pending""",
    ),
    (
        "run {} has {} open steps of {} and says {} of {}",
        """SELECT r.run_id,
            coalesce(sum(s.status NOT IN ('succeeded', 'failed', 'canceled', 'skipped')), 0),
            count(s.id), r.open_steps, r.total_steps
        FROM runs r LEFT JOIN steps s ON s.run_key = r.id GROUP BY r.id
        HAVING r.total_steps <> count(s.id) OR r.open_steps <>
            coalesce(sum(s.status NOT IN ('succeeded', 'failed', 'canceled', 'skipped')), 0)""",
    ),
    (
        "run {} has {} events, numbered up to {}, and says {}",
        """SELECT r.run_id, count(e.seq), max(e.seq), r.event_seq
        FROM runs r LEFT JOIN events e ON e.run_key = r.id GROUP BY r.id
        HAVING count(e.seq) <> r.event_seq OR max(e.seq) <> r.event_seq""",
    ),
    (
        "step {} ended, and is {}",
        """SELECT s.step_id, 'held by a worker' FROM steps s
        WHERE s.status IN ('succeeded', 'failed', 'canceled', 'skipped')
        AND s.expires_at IS NOT NULL""",
    ),
    (
        "a dependency of step {} on {} is broken",
        "SELECT rowid, parent FROM pragma_foreign_key_check",
    ),
)


def invariants(connection: sqlite3.Connection, audit: Audit) -> Iterator[str]:
    """Each broken rule."""
    for text, question in _QUESTIONS:
        for row in connection.execute(question).fetchall():
            yield text.format(*row)
    counted = audit.attempts()
    for key, attempt in connection.execute("SELECT id, attempt FROM steps").fetchall():
        name, claims = counted[key]
        if attempt != claims:
            yield f"step {name} counts {attempt} attempts and was claimed {claims} times"
    terminal = connection.execute(
        """SELECT s.step_id, count(*) FROM events e JOIN steps s ON s.id = e.step
        WHERE e.type = 'step.succeeded' GROUP BY s.id HAVING count(*) > 1"""
    )
    for name, times in terminal.fetchall():
        yield f"step {name} succeeded {times} times, by its events"
