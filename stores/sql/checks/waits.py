"""Waits can still be woken and were not missed; holds hold; messages and values are in order."""

from __future__ import annotations

from stepwell.engine.events import EventType
from stepwell.engine.states import RUN_ENDED, RunStatus
from stepwell.stores.sql.checks.check import Check, listed
from stepwell.stores.sql.exchange import wait_names

_RUN = wait_names.run_end("")
_FROZEN = f"(s.held = 1 OR r.status = '{RunStatus.PAUSED}')"


def _waits_for(name: str) -> str:
    """Waiting steps by what they wait for, which is an expression of the rows before."""
    return (
        "JOIN steps s ON s.status = 'waiting' AND s.wait_for IS NOT NULL "
        f"AND s.wait_for = {name} JOIN runs r ON r.id = s.run_key "
    )


# Names for which something has come.
_COME = (
    "(SELECT 'topic:' || run_key || ':' || topic FROM messages WHERE receiver IS NULL "
    "UNION ALL SELECT 'value:' || o.run_id || '\n' || v.key "
    'FROM "values" v JOIN runs o ON o.id = v.run_key WHERE v.seq = 1 '
    f"UNION ALL SELECT '{_RUN}' || run_id FROM runs WHERE status IN {listed(RUN_ENDED)})"
)
_SEVERAL = listed(wait_names.SIDE_BY_SIDE)

# Waits for any or all of several names.
SIDE_BY_SIDE: tuple[Check, ...] = (
    Check(
        "waits",
        "is {0} for {1!r}, but still registered to wait for {2!r}",
        "SELECT r.run_id, s.step_id, s.status, coalesce(s.wait_for, ''), w.name FROM waits w "
        "JOIN steps s ON s.id = w.step JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status <> 'waiting' OR coalesce(s.wait_for, '') NOT IN {_SEVERAL}",
    ),
    Check(
        "waits",
        "waits for {0} of several things, but for nothing that can come",
        "SELECT r.run_id, s.step_id, s.wait_for FROM steps s JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status = 'waiting' AND s.wait_for IN {_SEVERAL} "
        "AND NOT EXISTS (SELECT 1 FROM waits w WHERE w.step = s.id)",
    ),
    Check(
        "waits",
        "waits for any of several things, and one of them came ({0})",
        "SELECT r.run_id, s.step_id, w.name FROM waits w JOIN steps s ON s.id = w.step "
        "JOIN runs r ON r.id = s.run_key WHERE s.status = 'waiting' "
        f"AND s.wait_for = '{wait_names.ANY}' AND w.name IN {_COME}",
    ),
    Check(
        "waits",
        "waits for all of several things, and all of them came",
        "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status = 'waiting' AND s.wait_for = '{wait_names.ALL}' AND s.wake_at IS NULL "
        "AND s.wait_left IS NULL AND EXISTS (SELECT 1 FROM waits w WHERE w.step = s.id) "
        "AND NOT EXISTS (SELECT 1 FROM waits w WHERE w.step = s.id "
        f"AND w.name NOT IN {_COME})",
    ),
)

CHECKS: tuple[Check, ...] = (
    *SIDE_BY_SIDE,
    Check(
        "waits",
        "waits, but for nothing that can come",
        "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        "WHERE s.status = 'waiting' AND s.wait_for IS NULL AND s.wake_at IS NULL "
        "AND s.wait_left IS NULL",
    ),
    Check(
        "waits",
        "is {0}, but still registered to wait for {1!r}",
        "SELECT r.run_id, s.step_id, s.status, s.wait_for FROM steps s "
        "JOIN runs r ON r.id = s.run_key WHERE s.status <> 'waiting' AND s.wait_for IS NOT NULL",
    ),
    Check(
        "waits",
        "waits for the end of run {0!r}, which is {1}",
        "SELECT r.run_id, s.step_id, o.run_id, o.status FROM runs o "
        + _waits_for(f"'{_RUN}' || o.run_id")
        + f"WHERE o.status IN {listed(RUN_ENDED)}",
    ),
    Check(
        "waits",
        "waits for the end of a run that is not there ({0})",
        "SELECT r.run_id, s.step_id, s.wait_for FROM steps s JOIN runs r ON r.id = s.run_key "
        f"LEFT JOIN runs o ON o.run_id = substr(s.wait_for, {len(_RUN) + 1}) "
        "WHERE s.status = 'waiting' AND s.wait_for IS NOT NULL "
        f"AND substr(s.wait_for, 1, {len(_RUN)}) = '{_RUN}' AND o.id IS NULL",
    ),
    Check(
        "waits",
        "waits for a message on {0!r}, which came (message {1})",
        "SELECT r.run_id, s.step_id, m.topic, m.id FROM messages m "
        + _waits_for("'topic:' || m.run_key || ':' || m.topic")
        + "WHERE m.receiver IS NULL",
    ),
    Check(
        "waits",
        "waits for the value {0!r} of run {1!r}, which was set",
        "SELECT r.run_id, s.step_id, v.key, o.run_id "
        'FROM "values" v JOIN runs o ON o.id = v.run_key '
        + _waits_for("'value:' || o.run_id || '\n' || v.key")
        + "WHERE v.seq = 1",
    ),
    Check(
        "waits",
        "is {0}, but its run is paused, or it is held back itself",
        "SELECT r.run_id, s.step_id, s.status FROM steps s JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status = 'ready' AND {_FROZEN}",
    ),
    Check(
        "waits",
        "is held, but neither is its run paused nor it held back itself",
        "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        f"WHERE s.status = 'held' AND NOT {_FROZEN}",
    ),
    Check(
        "waits",
        "waits, and its time {0}",
        "SELECT r.run_id, s.step_id, CASE WHEN s.wait_left IS NULL "
        "THEN 'goes on though it is held back' ELSE 'stands still though it is not held back' END "
        "FROM steps s JOIN runs r ON r.id = s.run_key WHERE s.status = 'waiting' "
        f"AND (({_FROZEN} AND s.wake_at IS NOT NULL) "
        f"OR (NOT {_FROZEN} AND s.wait_left IS NOT NULL))",
    ),
    *(
        Check(
            "messages",
            f"was told {{0}} times of {what}, but there are {{1}}",
            f"SELECT r.run_id, NULL, coalesce(e.count, 0), coalesce(m.count, 0) FROM runs r "
            f"LEFT JOIN (SELECT run_key, count(*) AS count FROM events WHERE type = '{event}' "
            "GROUP BY run_key) e ON e.run_key = r.id "
            f"LEFT JOIN (SELECT run_key, count(*) AS count FROM {rows} "
            "GROUP BY run_key) m ON m.run_key = r.id "
            "WHERE coalesce(e.count, 0) <> coalesce(m.count, 0)",
        )
        for what, event, rows in (
            ("messages", EventType.MESSAGE_SENT, "messages"),
            (
                "received messages",
                EventType.MESSAGE_RECEIVED,
                "messages WHERE receiver IS NOT NULL",
            ),
            ("values", EventType.VALUE_SET, '"values"'),
        )
    ),
    Check(
        "messages",
        "received message {0}, which was sent to run {1!r}",
        "SELECT r.run_id, s.step_id, m.id, o.run_id FROM messages m "
        "JOIN steps s ON s.id = m.receiver JOIN runs r ON r.id = s.run_key "
        "JOIN runs o ON o.id = m.run_key WHERE m.run_key <> s.run_key",
    ),
    Check(
        "messages",
        "has {0} values of {1!r}, numbered {2} to {3}",
        "SELECT r.run_id, NULL, count(*), v.key, min(v.seq), max(v.seq) "
        'FROM "values" v JOIN runs r ON r.id = v.run_key '
        "GROUP BY r.run_id, v.run_key, v.key HAVING min(v.seq) <> 1 OR max(v.seq) <> count(*)",
    ),
)
