"""A step's events tell the same story as its row: claims, ends, attempts, tokens."""

from __future__ import annotations

from stepwell.engine.events import EventType
from stepwell.stores.sql.checks.check import (
    ENDED,
    ENDS,
    EXECUTION_ENDS,
    RETRIES,
    UNCHARGED,
    Check,
    listed,
)
from stepwell.stores.sql.exchange.run_ends import END_EVENTS

_RUN_ENDS = listed(END_EVENTS.values())
_LAST_ENDS = (
    f"WITH last AS MATERIALIZED (SELECT step, max(seq) AS seq FROM events WHERE type IN {ENDS} "
    "GROUP BY step) "
)
_COUNTS = (
    "WITH told AS MATERIALIZED (SELECT step, "
    f"count(*) FILTER (WHERE type IN {UNCHARGED}) AS given_back, "
    f"count(*) FILTER (WHERE type IN {EXECUTION_ENDS}) AS ends, "
    "count(*) FILTER (WHERE type = 'step.canceled') AS canceled "
    "FROM events WHERE step IS NOT NULL GROUP BY step), "
    "counted AS (SELECT s.id, s.run_key, s.step_id, s.status, s.token, s.attempt, "
    "coalesce(t.given_back, 0) AS given_back, coalesce(t.ends, 0) AS ends, "
    "coalesce(t.canceled, 0) AS canceled FROM steps s LEFT JOIN told t ON t.step = s.id) "
)


def _ends_once(types: str, one: str) -> str:
    """Pairs of ends that follow each other without an operator's retry between them."""
    return (
        f"WITH ends AS (SELECT run_key, {one} AS step, seq, type, lag(seq) OVER w AS seq_before, "
        f"lag(type) OVER w AS before FROM events WHERE type IN {types} "
        f"WINDOW w AS (PARTITION BY run_key, {one} ORDER BY seq)) "
        "SELECT r.run_id, s.step_id, e.before, e.seq_before, e.type, e.seq FROM ends e "
        "JOIN runs r ON r.id = e.run_key LEFT JOIN steps s ON s.id = e.step "
        "WHERE e.before IS NOT NULL AND (e.before = 'step.succeeded' OR NOT EXISTS "
        "(SELECT 1 FROM events o WHERE o.run_key = e.run_key AND o.seq > e.seq_before "
        f"AND o.seq < e.seq AND o.type IN {RETRIES}))"
    )


CHECKS: tuple[Check, ...] = (
    *(
        Check(
            "commits",
            "ended twice: {0} (event {1}), and {2} (event {3}) without an operator's retry between",
            _ends_once(types, one),
        )
        for types, one in ((ENDS, "step"), (_RUN_ENDS, "CAST(NULL AS BIGINT)"))
    ),
    Check(
        "commits",
        "is {0}, but the last end that was told of it is {1}",
        _LAST_ENDS + "SELECT r.run_id, s.step_id, s.status, coalesce(e.type, 'none') FROM steps s "
        "JOIN runs r ON r.id = s.run_key LEFT JOIN last l ON l.step = s.id "
        "LEFT JOIN events e ON e.run_key = s.run_key AND e.seq = l.seq "
        f"WHERE s.status IN {ENDED} AND (e.type IS NULL OR e.type <> 'step.' || s.status)",
    ),
    Check(
        "commits",
        "is {0} again after its end (event {1}), but no operator retried it",
        _LAST_ENDS + "SELECT r.run_id, s.step_id, s.status, l.seq FROM last l "
        "JOIN steps s ON s.id = l.step JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status NOT IN {ENDED} AND NOT EXISTS (SELECT 1 FROM events o "
        f"WHERE o.run_key = s.run_key AND o.seq > l.seq AND o.type IN {RETRIES})",
    ),
    Check(
        "attempts",
        "counts {0} attempts, but was claimed {1} times and given back {2} times",
        _COUNTS + "SELECT r.run_id, c.step_id, c.attempt, c.token, c.given_back FROM counted c "
        "JOIN runs r ON r.id = c.run_key WHERE c.attempt <> c.token - c.given_back",
    ),
    Check(
        "attempts",
        "was claimed {0} times, but {1} executions of it ended",
        _COUNTS + "SELECT r.run_id, c.step_id, c.token, c.ends FROM counted c "
        "JOIN runs r ON r.id = c.run_key WHERE c.ends > c.token "
        "OR c.token - c.ends > c.canceled + CASE WHEN c.status = 'running' THEN 1 ELSE 0 END",
    ),
    Check(
        "attempts",
        "counts {0} attempts, but {1} failures and {2} lost leases",
        "SELECT r.run_id, s.step_id, s.attempt, s.failures, s.lost_leases FROM steps s "
        "JOIN runs r ON r.id = s.run_key WHERE s.failures + s.lost_leases > s.attempt",
    ),
    Check(
        "attempts",
        "was claimed {0} times, but when it was first started is {1}",
        "SELECT r.run_id, s.step_id, s.token, "
        "CASE WHEN s.started_at IS NULL THEN 'not known' ELSE 'known' END FROM steps s "
        "JOIN runs r ON r.id = s.run_key WHERE (s.token > 0) <> (s.started_at IS NOT NULL)",
    ),
    Check(
        "tokens",
        "has token {0}, but an execution with token {1} was refused (event {2})",
        "SELECT r.run_id, s.step_id, s.token, e.data{json} ->> 'token', e.seq FROM events e "
        "JOIN steps s ON s.id = e.step JOIN runs r ON r.id = s.run_key "
        f"WHERE e.type = '{EventType.STEP_REFUSED}' "
        "AND CAST(e.data{json} ->> 'token' AS BIGINT) > s.token",
    ),
    Check(
        "tokens",
        "went from attempt {0} (event {1}) back to attempt {2} (event {3})",
        "WITH ends AS (SELECT run_key, step, seq, attempt, lag(seq) OVER w AS seq_before, "
        "lag(attempt) OVER w AS before, lag(type) OVER w AS type_before FROM events "
        f"WHERE type IN {EXECUTION_ENDS} WINDOW w AS (PARTITION BY run_key, step ORDER BY seq)) "
        "SELECT r.run_id, s.step_id, e.before, e.seq_before, e.attempt, e.seq FROM ends e "
        "JOIN steps s ON s.id = e.step JOIN runs r ON r.id = e.run_key "
        "WHERE e.before IS NOT NULL AND e.attempt < e.before + "
        f"CASE WHEN e.type_before IN {UNCHARGED} THEN 0 ELSE 1 END",
    ),
    Check(
        "events",
        "has {0} events, numbered {1} to {2}; its last number is {3}",
        "SELECT r.run_id, NULL, count(e.seq), min(e.seq), max(e.seq), r.event_seq FROM runs r "
        "LEFT JOIN events e ON e.run_key = r.id GROUP BY r.id, r.run_id, r.event_seq "
        "HAVING count(e.seq) <> r.event_seq OR (count(e.seq) > 0 AND "
        "(min(e.seq) <> 1 OR max(e.seq) <> r.event_seq))",
    ),
    Check(
        "events",
        "event {0} is of the unknown type {1!r}",
        "SELECT r.run_id, s.step_id, e.seq, e.type FROM events e JOIN runs r ON r.id = e.run_key "
        f"LEFT JOIN steps s ON s.id = e.step WHERE e.type NOT IN {listed(EventType)}",
    ),
    Check(
        "events",
        "its creation was told {0} times, and should be its first event",
        f"SELECT r.run_id, NULL, count(*) FILTER (WHERE e.type = '{EventType.RUN_CREATED}') "
        "FROM runs r JOIN events e ON e.run_key = r.id GROUP BY r.id, r.run_id "
        f"HAVING count(*) FILTER (WHERE e.type = '{EventType.RUN_CREATED}') <> 1 "
        f"OR count(*) FILTER (WHERE e.type = '{EventType.RUN_CREATED}' AND e.seq = 1) <> 1",
    ),
    Check(
        "events",
        "event {0} is about it, but in run {1!r}",
        "SELECT r.run_id, s.step_id, e.seq, o.run_id FROM events e JOIN steps s ON s.id = e.step "
        "JOIN runs r ON r.id = s.run_key JOIN runs o ON o.id = e.run_key "
        "WHERE e.run_key <> s.run_key",
    ),
)
