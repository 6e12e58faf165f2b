"""Edges: closed, whole under subtrees, counted, and never jumped over."""

from __future__ import annotations

from stepwell.engine.states import Condition
from stepwell.stores.sql.checks.check import (
    ENDED,
    EXECUTION_ENDS,
    MET,
    RETRIES,
    Check,
    listed,
    met_by,
)

_UNMET = (
    "WITH unmet AS MATERIALIZED (SELECT d.step, count(*) AS count FROM dependencies d "
    f"JOIN steps t ON t.id = d.needs WHERE NOT ({MET}) GROUP BY d.step) "
)


def _first_met() -> str:
    """The number of the event that met edge `d` first, from the first events of its target."""
    cases = " ".join(f"WHEN '{condition}' THEN target.{condition}" for condition in Condition)
    return f"CASE d.condition {cases} END"


def _first_events() -> str:
    """For each step the numbers of the first events that meet each condition, and of its own."""
    columns = ", ".join(
        f"min(seq) FILTER (WHERE type IN {listed(f'step.{ended}' for ended in met_by(condition))}) "
        f"AS {condition}"
        for condition in Condition
    )
    return (
        f"SELECT step, {columns}, "
        f"min(seq) FILTER (WHERE type IN {EXECUTION_ENDS}) AS executed "
        "FROM events WHERE step IS NOT NULL GROUP BY step"
    )


CHECKS: tuple[Check, ...] = (
    Check(
        "early_starts",
        "was executed before step {0!r}, which it depends on ({1}), had ended",
        f"WITH firsts AS MATERIALIZED ({_first_events()}) "
        "SELECT r.run_id, s.step_id, t.step_id, d.condition FROM dependencies d "
        "JOIN steps s ON s.id = d.step JOIN steps t ON t.id = d.needs "
        "JOIN runs r ON r.id = s.run_key LEFT JOIN firsts own ON own.step = s.id "
        "LEFT JOIN firsts target ON target.step = t.id "
        "LEFT JOIN firsts parent ON parent.step = t.parent "
        f"WHERE s.token > 0 AND ({_first_met()} IS NULL OR {_first_met()} > own.executed) "
        # A step below one that was retried: who waits for the subtree may have run before.
        "AND NOT (d.subtree = 1 AND t.parent IS NOT NULL AND t.id > s.id "
        "AND (own.executed IS NULL OR parent.succeeded > own.executed) AND EXISTS "
        f"(SELECT 1 FROM events o WHERE o.run_key = s.run_key AND o.type IN {RETRIES}))",
    ),
    Check(
        "pending",
        "is pending on {0} dependencies, but {1} are unmet",
        _UNMET + "SELECT r.run_id, s.step_id, s.pending, coalesce(u.count, 0) FROM steps s "
        "JOIN runs r ON r.id = s.run_key LEFT JOIN unmet u ON u.step = s.id "
        "WHERE s.status = 'pending' AND s.pending <> coalesce(u.count, 0)",
    ),
    Check(
        "pending",
        "is {0}, but {1} of its dependencies are unmet",
        _UNMET + "SELECT r.run_id, s.step_id, s.status, u.count FROM steps s "
        "JOIN runs r ON r.id = s.run_key JOIN unmet u ON u.step = s.id "
        # One that was executed before may wait to be so again, whatever was retried above it.
        "WHERE s.status IN ('ready', 'held') AND s.token = 0",
    ),
    Check(
        "pending",
        "is {0}, but counts {1} unmet dependencies",
        "SELECT r.run_id, s.step_id, s.status, s.pending FROM steps s "
        "JOIN runs r ON r.id = s.run_key "
        "WHERE (s.status IN ('ready', 'held', 'running', 'waiting', 'succeeded') "
        "OR (s.status = 'failed' AND s.token > 0)) AND s.pending <> 0",
    ),
    Check(
        "pending",
        "is pending, but all its dependencies are met",
        _UNMET + "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        "LEFT JOIN unmet u ON u.step = s.id WHERE s.status = 'pending' AND u.step IS NULL",
    ),
    Check(
        "pending",
        "is pending, but step {0!r} is {1}, so it can never run",
        "SELECT r.run_id, s.step_id, t.step_id, t.status FROM dependencies d "
        "JOIN steps s ON s.id = d.step JOIN steps t ON t.id = d.needs "
        "JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status = 'pending' AND t.status IN {ENDED} AND NOT ({MET})",
    ),
    Check(
        "graphs",
        "depends on step {0!r} of run {1!r}",
        "SELECT r.run_id, s.step_id, t.step_id, o.run_id FROM dependencies d "
        "JOIN steps s ON s.id = d.step JOIN steps t ON t.id = d.needs "
        "JOIN runs r ON r.id = s.run_key JOIN runs o ON o.id = t.run_key "
        "WHERE s.run_key <> t.run_key",
    ),
    *(
        Check(
            "graphs",
            f"has the {column} {{0!r}} of run {{1!r}}",
            "SELECT r.run_id, s.step_id, t.step_id, o.run_id FROM steps s "
            f"JOIN steps t ON t.id = s.{column} "
            "JOIN runs r ON r.id = s.run_key JOIN runs o ON o.id = t.run_key "
            "WHERE s.run_key <> t.run_key",
        )
        for column in ("parent", "cause")
    ),
    Check(
        "graphs",
        "was started by step {0!r}, which is not in the run that started it",
        "SELECT r.run_id, NULL, s.step_id FROM runs r JOIN steps s ON s.id = r.parent_step "
        "WHERE r.parent_run IS NOT NULL AND r.parent_run <> s.run_key",
    ),
    Check(
        "graphs",
        "waits for all below step {0!r}, but not for {1!r}, which that emitted",
        "SELECT r.run_id, s.step_id, p.step_id, c.step_id FROM dependencies d "
        "JOIN steps c ON c.parent = d.needs JOIN steps p ON p.id = d.needs "
        "JOIN steps s ON s.id = d.step JOIN runs r ON r.id = s.run_key "
        "WHERE d.subtree = 1 AND c.id <> d.step AND NOT EXISTS (SELECT 1 FROM dependencies x "
        "WHERE x.needs = c.id AND x.step = d.step AND x.subtree = 1)",
    ),
    Check(
        "graphs",
        "waits for all below step {0!r}, but not for {1!r}, which that repeated",
        "WITH RECURSIVE missed(waits, emitter, needs) AS ("
        "SELECT d.step, x.emitter, x.step FROM repeats x "
        "JOIN dependencies d ON d.needs = x.emitter AND d.subtree = 1 "
        # One that was executed may have been so before the repetition.
        "JOIN steps s ON s.id = d.step AND s.token = 0 "
        "WHERE x.step <> d.step AND NOT EXISTS "
        "(SELECT 1 FROM dependencies y WHERE y.needs = x.step AND y.step = d.step)), "
        # What waits for the one that waits is left out.
        "later(waits, step) AS (SELECT waits, waits FROM missed UNION "
        "SELECT l.waits, d.step FROM later l JOIN dependencies d ON d.needs = l.step) "
        "SELECT r.run_id, s.step_id, p.step_id, c.step_id FROM missed m "
        "JOIN steps s ON s.id = m.waits JOIN steps p ON p.id = m.emitter "
        "JOIN steps c ON c.id = m.needs JOIN runs r ON r.id = s.run_key "
        "WHERE NOT EXISTS (SELECT 1 FROM later l WHERE l.waits = m.waits AND l.step = m.needs)",
    ),
)

# The edges of the runs that may have a cycle, run by run. Most graphs are made in an order in which
# every step comes after those it needs; those have none.
CYCLE_CANDIDATES = (
    "SELECT s.run_key, d.needs, d.step FROM dependencies d JOIN steps s ON s.id = d.step "
    "WHERE s.run_key IN (SELECT b.run_key FROM dependencies c JOIN steps b ON b.id = c.step "
    "WHERE c.needs >= c.step) ORDER BY s.run_key"
)
CYCLE = Check("graphs", "is in a cycle of dependencies", "")
