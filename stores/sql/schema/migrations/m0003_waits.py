"""Waits for several things at once; which steps of others an emission repeated."""

from __future__ import annotations

STATEMENTS: tuple[str, ...] = (
    # Only for steps with `wait_for` 'any' or 'all': one name each stands in the step itself.
    """CREATE TABLE waits (
        step {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        PRIMARY KEY (step, name)
    ){clustered}""",
    "CREATE INDEX waits_by_name ON waits (name)",
    # Who emitted a step whose dedup key another one had, and that other one.
    """CREATE TABLE repeats (
        emitter {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        step {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        PRIMARY KEY (emitter, step)
    ){clustered}""",
    "CREATE INDEX repeats_by_step ON repeats (step)",
)
