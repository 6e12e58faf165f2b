"""A run's row follows from its steps, and leases keep to the limits of their queues."""

from __future__ import annotations

from stepwell.engine.states import RUN_ENDED, RunStatus, run_end
from stepwell.stores.sql.checks.check import ENDED, RETRIES, Check, listed
from stepwell.stores.sql.exchange.queue_limits import LIMITS_GRACE, LIMITS_SET
from stepwell.stores.sql.exchange.run_ends import END_EVENTS

_ENDED_RUN = listed(RUN_ENDED)
_RUN_ENDS = listed(END_EVENTS.values())
_COUNTED = (
    "WITH counted AS MATERIALIZED (SELECT r.id, count(s.id) AS total, "
    f"count(s.id) FILTER (WHERE s.status NOT IN {ENDED}) AS open, "
    "count(s.id) FILTER (WHERE s.held = 1) AS held, "
    "count(s.id) FILTER (WHERE s.token > 0) AS claimed, "
    "count(s.id) FILTER (WHERE s.status = 'canceled' AND s.cause IS NULL) AS canceled, "
    "count(s.id) FILTER (WHERE s.status = 'failed' AND s.allow_failure = 0 AND NOT EXISTS "
    "(SELECT 1 FROM dependencies d WHERE d.needs = s.id AND d.condition = 'failed')) AS unhandled "
    "FROM runs r LEFT JOIN steps s ON s.run_key = r.id GROUP BY r.id) "
)
_SHOULD_BE = (
    f"CASE WHEN r.error IS NOT NULL THEN '{RunStatus.FAILED}' "
    f"WHEN c.canceled > 0 THEN '{run_end(canceled=True, unhandled_failures=False)}' "
    f"WHEN c.unhandled > 0 THEN '{run_end(canceled=False, unhandled_failures=True)}' "
    f"ELSE '{run_end(canceled=False, unhandled_failures=False)}' END"
)
_LAST_END = (
    f"WITH last AS (SELECT run_key, max(seq) AS seq FROM events WHERE type IN {_RUN_ENDS} "
    "GROUP BY run_key) "
)
# Executions that began under the limits as they are now.
_SINCE = f"coalesce((SELECT value FROM meta WHERE name = '{LIMITS_SET}'), 0) + {LIMITS_GRACE}"

_HOLDS = f"c.held + CASE WHEN r.status = '{RunStatus.PAUSED}' THEN 1 ELSE 0 END"


def _number(column: str, counted: str, what: str) -> Check:
    return Check(
        "counters",
        f"counts {{0}} {what}, but has {{1}}",
        _COUNTED + f"SELECT r.run_id, NULL, r.{column}, {counted} FROM runs r "
        f"JOIN counted c ON c.id = r.id WHERE r.{column} <> {counted}",
    )


CHECKS: tuple[Check, ...] = (
    _number("total_steps", "c.total", "steps"),
    _number("open_steps", "c.open", "open steps"),
    _number("holds", _HOLDS, "holds"),
    *(
        Check(
            "counters",
            f"the next key of {table} is {{0}}, but {{1}} is taken",
            f"SELECT NULL, NULL, m.value, max(x.id) FROM meta m CROSS JOIN {table} x "
            f"WHERE m.name = '{name}' GROUP BY m.value HAVING max(x.id) >= m.value",
        )
        for table, name in (("runs", "next_run"), ("steps", "next_step"))
    ),
    Check(
        "runs",
        "is {0}, but none of its steps is open",
        _COUNTED + "SELECT r.run_id, NULL, r.status FROM runs r JOIN counted c ON c.id = r.id "
        f"WHERE c.open = 0 AND r.status NOT IN {_ENDED_RUN}",
    ),
    Check(
        "runs",
        "is {0}, but {1} of its steps are open",
        _COUNTED + "SELECT r.run_id, NULL, r.status, c.open FROM runs r "
        f"JOIN counted c ON c.id = r.id WHERE c.open > 0 AND r.status IN {_ENDED_RUN}",
    ),
    Check(
        "runs",
        "is {0}, but by its steps it should be {1}",
        _COUNTED + f"SELECT r.run_id, NULL, r.status, {_SHOULD_BE} FROM runs r "
        f"JOIN counted c ON c.id = r.id WHERE c.open = 0 AND r.status IN {_ENDED_RUN} "
        f"AND r.status <> {_SHOULD_BE}",
    ),
    Check(
        "runs",
        "is {0}, but {1} of its steps were claimed",
        _COUNTED + "SELECT r.run_id, NULL, r.status, c.claimed FROM runs r "
        f"JOIN counted c ON c.id = r.id WHERE c.claimed > 0 AND r.status = '{RunStatus.PENDING}'",
    ),
    Check(
        "runs",
        "is {0}, but when it {1} is {2}",
        "SELECT run_id, NULL, status, 'ended', "
        "CASE WHEN ended_at IS NULL THEN 'not known' ELSE 'known' END FROM runs "
        f"WHERE (status IN {_ENDED_RUN}) <> (ended_at IS NOT NULL) UNION ALL "
        "SELECT run_id, NULL, status, 'started', "
        "CASE WHEN started_at IS NULL THEN 'not known' ELSE 'known' END FROM runs "
        f"WHERE (status = '{RunStatus.PENDING}' AND started_at IS NOT NULL) "
        f"OR (status IN ('{RunStatus.RUNNING}', '{RunStatus.SUCCEEDED}', '{RunStatus.FAILED}') "
        # A run whose deadline passed before it began fails, too.
        "AND started_at IS NULL AND total_steps > 0 AND error IS NULL)",
    ),
    Check(
        "runs",
        "is {0}, but has an error",
        "SELECT run_id, NULL, status FROM runs "
        f"WHERE status <> '{RunStatus.FAILED}' AND error IS NOT NULL",
    ),
    Check(
        "runs",
        "is {0}; the step that made it fail is {1}",
        "SELECT r.run_id, s.step_id, r.status, coalesce(s.status, 'not there') FROM runs r "
        "LEFT JOIN steps s ON s.id = r.error_step AND s.run_key = r.id "
        "WHERE r.error_step IS NOT NULL AND (s.status IS NULL OR s.status <> 'failed' "
        f"OR r.status NOT IN {_ENDED_RUN})",
    ),
    Check(
        "early_starts",
        "began before the start of its run",
        "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        "WHERE r.start_at IS NOT NULL AND s.started_at < r.start_at",
    ),
    Check(
        "runs",
        "is {0}, but the last end that was told of it is {1}",
        _LAST_END + "SELECT r.run_id, NULL, r.status, coalesce(e.type, 'none') FROM runs r "
        "LEFT JOIN last l ON l.run_key = r.id "
        "LEFT JOIN events e ON e.run_key = r.id AND e.seq = l.seq "
        f"WHERE r.status IN {_ENDED_RUN} AND (e.type IS NULL OR e.type <> 'run.' || r.status)",
    ),
    Check(
        "runs",
        "is {0} again after its end (event {1}), but no operator retried it",
        _LAST_END + "SELECT r.run_id, NULL, r.status, l.seq FROM last l "
        f"JOIN runs r ON r.id = l.run_key WHERE r.status NOT IN {_ENDED_RUN} AND NOT EXISTS "
        "(SELECT 1 FROM events o WHERE o.run_key = r.id AND o.seq > l.seq "
        f"AND o.type IN {RETRIES})",
    ),
    Check(
        "queue_limits",
        "queue {0!r} has {1} steps running, and lets through {2}",
        "SELECT NULL, NULL, q.name, count(*), q.max_in_flight FROM queues q "
        "JOIN steps s ON s.queue = q.name AND s.status = 'running' "
        "WHERE q.max_in_flight IS NOT NULL GROUP BY q.name, q.max_in_flight "
        f"HAVING count(*) > q.max_in_flight AND max(s.started_at) > {_SINCE}",
    ),
    Check(
        "queue_limits",
        "worker {0!r} runs {1} steps of queue {2!r}, which lets through {3} for each",
        "SELECT NULL, NULL, s.worker, count(*), q.name, q.max_per_worker FROM queues q "
        "JOIN steps s ON s.queue = q.name AND s.status = 'running' "
        "WHERE q.max_per_worker IS NOT NULL GROUP BY s.worker, q.name, q.max_per_worker "
        f"HAVING count(*) > q.max_per_worker AND max(s.started_at) > {_SINCE}",
    ),
    Check(
        "queue_limits",
        "queue {0!r} has spent more than its rate lets through: {1} tokens are left",
        "SELECT NULL, NULL, name, tokens FROM queues WHERE tokens < -0.001",
    ),
    Check(
        "queue_limits",
        "is running, but nobody holds its lease",
        "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        "WHERE s.status = 'running' AND (s.worker IS NULL OR s.token = 0)",
    ),
)
