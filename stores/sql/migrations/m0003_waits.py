"""What a step waits for that waits for several things at once."""

from __future__ import annotations

STATEMENTS: tuple[str, ...] = (
    # Only for steps with `wait_for` 'any' or 'all': one name each stands in the step itself.
    """CREATE TABLE waits (
        step {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        PRIMARY KEY (step, name)
    ){clustered}""",
    "CREATE INDEX waits_by_name ON waits (name)",
)
