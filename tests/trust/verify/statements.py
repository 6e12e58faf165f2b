"""Statements that change a store behind its back."""

from __future__ import annotations


def key(run: str, step: str) -> str:
    """The key of a step, as SQL."""
    return (
        "(SELECT s.id FROM steps s JOIN runs r ON r.id = s.run_key "
        f"WHERE r.run_id = '{run}' AND s.step_id = '{step}')"
    )


def run_key(run: str) -> str:
    """The key of a run, as SQL."""
    return f"(SELECT id FROM runs WHERE run_id = '{run}')"


def steps_set(run: str, step: str, what: str) -> str:
    """Change the row of a step."""
    return f"UPDATE steps SET {what} WHERE id = {key(run, step)}"


def runs_set(run: str, what: str) -> str:
    """Change the row of a run."""
    return f"UPDATE runs SET {what} WHERE run_id = '{run}'"


def retyped(run: str, step: str, type: str, new: str) -> str:
    """Make an event of a step one of another type."""
    return f"UPDATE events SET type = '{new}' WHERE step = {key(run, step)} AND type = '{type}'"


def told(run: str, step: str, type: str, attempt: int) -> tuple[str, str]:
    """Add an event of a step, and count it."""
    return (
        "INSERT INTO events (run_key, seq, type, at, step, attempt) "
        f"SELECT id, event_seq + 1, '{type}', 0, {key(run, step)}, {attempt} "
        f"FROM runs WHERE run_id = '{run}'",
        runs_set(run, "event_seq = event_seq + 1"),
    )
