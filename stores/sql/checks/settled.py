"""What a settle leaves behind is there whole, or not at all; and what is referred to is there."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.stores.sql.checks.check import ENDED, Check

# (table, column, table it refers to): declared as foreign keys, or meant so. Records are not among
# them: they belong to their package, and outlive whoever wrote them.
REFERENCES = (
    ("steps", "run_key", "runs"),
    ("steps", "parent", "steps"),
    ("steps", "cause", "steps"),
    ("runs", "parent_run", "runs"),
    ("runs", "parent_step", "steps"),
    ("dependencies", "needs", "steps"),
    ("dependencies", "step", "steps"),
    ("results", "step", "steps"),
    ("artifacts", "run_key", "runs"),
    ("artifacts", "step", "steps"),
    ("events", "run_key", "runs"),
    ("events", "step", "steps"),
    ("messages", "run_key", "runs"),
    ("messages", "receiver", "steps"),
    ('"values"', "run_key", "runs"),
    ('"values"', "step", "steps"),
    ("waits", "step", "steps"),
    ("repeats", "emitter", "steps"),
    ("repeats", "step", "steps"),
)


def _references() -> Iterator[Check]:
    for table, column, target in REFERENCES:
        yield Check(
            "references",
            f"{table.strip(chr(34))}.{column} names {{0}}, which is not in {target}",
            f"SELECT NULL, NULL, x.{column} FROM {table} x LEFT JOIN {target} y "
            f"ON y.id = x.{column} WHERE x.{column} IS NOT NULL AND y.id IS NULL",
        )
    yield Check(
        "references",
        "operations of the checkpoint {0!r} are there, but not the checkpoint",
        "SELECT DISTINCT NULL, NULL, o.execution_id FROM checkpoint_operations o LEFT JOIN "
        "checkpoints c ON c.execution_id = o.execution_id WHERE c.execution_id IS NULL",
    )


CHECKS: tuple[Check, ...] = (
    *_references(),
    Check(
        "settled",
        "succeeded, but has no result",
        "SELECT r.run_id, s.step_id FROM steps s JOIN runs r ON r.id = s.run_key "
        "LEFT JOIN results x ON x.step = s.id WHERE s.status = 'succeeded' AND x.step IS NULL",
    ),
    Check(
        "settled",
        "is {0}, but has a result",
        "SELECT r.run_id, s.step_id, s.status FROM results x JOIN steps s ON s.id = x.step "
        "JOIN runs r ON r.id = s.run_key WHERE s.status <> 'succeeded'",
    ),
    Check(
        "settled",
        "wrote the record {0}/{1}, which is not there",
        "SELECT r.run_id, s.step_id, e.value ->> 0, e.value ->> 1 "
        "FROM results x JOIN steps s ON s.id = x.step JOIN runs r ON r.id = s.run_key "
        "CROSS JOIN {each}(x.records{json}) e "
        "LEFT JOIN records c ON c.package = r.package AND c.collection = e.value ->> 0 "
        "AND c.key = e.value ->> 1 WHERE x.records IS NOT NULL AND c.key IS NULL",
    ),
    Check(
        "settled",
        "is {0}, but its record {1}/{2} is there",
        "SELECT r.run_id, s.step_id, s.status, c.collection, c.key FROM records c "
        "JOIN steps s ON s.id = c.step JOIN runs r ON r.id = s.run_key "
        "WHERE s.status <> 'succeeded'",
    ),
    Check(
        "settled",
        "is {0}, but its artifact {1!r} is there",
        "SELECT r.run_id, s.step_id, s.status, a.name FROM artifacts a "
        "JOIN steps s ON s.id = a.step JOIN runs r ON r.id = s.run_key "
        "WHERE s.status <> 'succeeded'",
    ),
    Check(
        "settled",
        "was emitted by step {0!r}, which is {1}",
        "SELECT r.run_id, s.step_id, p.step_id, p.status FROM steps s "
        "JOIN steps p ON p.id = s.parent JOIN runs r ON r.id = s.run_key "
        "WHERE p.status <> 'succeeded'",
    ),
    Check(
        "settled",
        "is {0}, but when it ended is {1}",
        "SELECT r.run_id, s.step_id, s.status, "
        "CASE WHEN s.ended_at IS NULL THEN 'not known' ELSE 'known' END "
        "FROM steps s JOIN runs r ON r.id = s.run_key "
        f"WHERE (s.status IN {ENDED}) <> (s.ended_at IS NOT NULL)",
    ),
    Check(
        "settled",
        "is {0}, but its reason is {1}",
        "SELECT r.run_id, s.step_id, s.status, "
        "CASE WHEN s.error IS NULL THEN 'not known' ELSE 'still there' END "
        "FROM steps s JOIN runs r ON r.id = s.run_key "
        "WHERE (s.status IN ('failed', 'canceled', 'skipped') AND s.error IS NULL) "
        "OR (s.status = 'succeeded' AND s.error IS NOT NULL)",
    ),
)
