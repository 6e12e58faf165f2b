"""A statement or a few for each rule about steps, their results and counters, which break it."""

from __future__ import annotations

from tests.trust.verify.statements import key, retyped, run_key, runs_set, steps_set, told

# The check, what it says (a part of it), and the statements that break its rule.
OF_STEPS: list[tuple[str, str, tuple[str, ...]]] = [
    # --- references: what is referred to was deleted
    (
        "references",
        "artifacts.step names 4711, which is not in steps",
        ("UPDATE artifacts SET step = 4711",),
    ),
    (
        "references",
        "runs.parent_step names 4711, which is not in steps",
        (runs_set("child", "parent_step = 4711"),),
    ),
    (
        "references",
        "the checkpoint 'gone' are there, but not the checkpoint",
        ("INSERT INTO checkpoint_operations VALUES ('gone', 1, 'a', '{}')",),
    ),
    # --- payloads
    (
        "payloads",
        "run 'grown' step 'leaf' its input in steps",
        (steps_set("grown", "leaf", "input = '{'"),),
    ),
    (
        "payloads",
        "run 'failed' step 'bad' its error",
        (steps_set("failed", "bad", "error = '{}'"),),
    ),
    ("payloads", "run 'grown' its tags in runs", (runs_set("grown", "tags = ''"),)),
    (
        "payloads",
        "step 'root' its value in results",
        (f"UPDATE results SET value = '' WHERE step = {key('grown', 'root')}",),
    ),
    ("payloads", "step 'root' its value in records", ("UPDATE records SET value = 'nul'",)),
    # --- settled: half a settle
    (
        "settled",
        "run 'grown' step 'leaf' succeeded, but has no result",
        (f"DELETE FROM results WHERE step = {key('grown', 'leaf')}",),
    ),
    (
        "settled",
        "run 'failed' step 'bad' is failed, but has a result",
        (f"INSERT INTO results VALUES ({key('failed', 'bad')}, '1', NULL, 0)",),
    ),
    (
        "settled",
        "run 'grown' step 'root' wrote the record prices/pen, which is not there",
        ("DELETE FROM records",),
    ),
    (
        "settled",
        "run 'failed' step 'bad' is failed, but its record prices/pen is there",
        (f"UPDATE records SET step = {key('failed', 'bad')}",),
    ),
    (
        "settled",
        "run 'failed' step 'bad' is failed, but its artifact 'inline' is there",
        (f"UPDATE artifacts SET step = {key('failed', 'bad')}, run_key = {run_key('failed')}",),
    ),
    (
        "settled",
        "run 'busy' step 'n2' was emitted by step 'n0', which is running",
        (steps_set("busy", "n2", f"parent = {key('busy', 'n0')}"),),
    ),
    (
        "settled",
        "run 'grown' step 'leaf' is succeeded, but when it ended is not known",
        (steps_set("grown", "leaf", "ended_at = NULL"),),
    ),
    (
        "settled",
        "run 'failed' step 'then' is canceled, but its reason is not known",
        (steps_set("failed", "then", "error = NULL"),),
    ),
    # --- commits
    (
        "commits",
        "run 'grown' step 'leaf' ended twice: step.succeeded (event",
        (
            *told("grown", "leaf", "step.succeeded", 2),
            steps_set("grown", "leaf", "token = 2, attempt = 2"),
        ),
    ),
    (
        "commits",
        "run 'failed' step 'then' ended twice: step.canceled (event",
        told("failed", "then", "step.canceled", 0),
    ),
    (
        "commits",
        "run 'grown' ended twice: run.succeeded",
        (
            *told("grown", "leaf", "run.succeeded", 1),
            "UPDATE events SET step = NULL WHERE type = 'run.succeeded'",
        ),
    ),
    (
        "commits",
        "run 'failed' step 'then' is canceled, but the last end that was told of it is "
        "step.skipped",
        (retyped("failed", "then", "step.canceled", "step.skipped"),),
    ),
    (
        "commits",
        "run 'busy' step 'last' is pending again after its end (event",
        told("busy", "last", "step.canceled", 0),
    ),
    # --- attempts and tokens
    (
        "attempts",
        "run 'grown' step 'root' counts 3 attempts, but was claimed 5 times and given back 1 times",
        (steps_set("grown", "root", "attempt = 3"),),
    ),
    (
        "attempts",
        "run 'grown' step 'leaf' was claimed 2 times, but 1 executions of it ended",
        (steps_set("grown", "leaf", "token = 2, attempt = 2"),),
    ),
    (
        "attempts",
        "run 'busy' step 'n0' was claimed 1 times, but 2 executions of it ended",
        told("busy", "n0", "step.retrying", 1) + told("busy", "n0", "step.retrying", 2),
    ),
    (
        "attempts",
        "run 'grown' step 'leaf' counts 1 attempts, but 2 failures and 0 lost leases",
        (steps_set("grown", "leaf", "failures = 2"),),
    ),
    (
        "attempts",
        "run 'busy' step 'n0' was claimed 1 times, but when it was first started is not known",
        (steps_set("busy", "n0", "started_at = NULL"),),
    ),
    (
        "tokens",
        "run 'grown' step 'root' has token 5, but an execution with token 6 was refused",
        (
            """UPDATE events SET data = '{"token":6}' WHERE type = 'step.refused' AND step = """
            + key("grown", "root"),
        ),
    ),
    (
        "tokens",
        "run 'grown' step 'root' went from attempt 2 (event",
        (
            f"UPDATE events SET attempt = 2 WHERE type = 'step.lapsed' AND step = "
            f"{key('grown', 'root')}",
        ),
    ),
    # --- early starts
    (
        "early_starts",
        "run 'grown' step 'leaf' was executed before step 'after', which it depends on (succeeded)",
        (
            f"UPDATE dependencies SET needs = {key('grown', 'after')}, step = "
            f"{key('grown', 'leaf')} WHERE needs = {key('grown', 'leaf')} AND step = "
            f"{key('grown', 'after')}",
        ),
    ),
    (
        "early_starts",
        "run 'busy' step 'n0' was executed before step 'n2', which it depends on (finished)",
        (
            f"INSERT INTO dependencies VALUES ({key('busy', 'n2')}, {key('busy', 'n0')}, "
            f"'finished', 0)",
        ),
    ),
    (
        "early_starts",
        "run 'grown' step 'leaf' began before the start of its run",
        (runs_set("grown", "start_at = 9000000000000000"),),
    ),
    # --- pending
    (
        "pending",
        "run 'busy' step 'last' is pending on 1 dependencies, but 2 are unmet",
        (steps_set("busy", "last", "pending = 1"),),
    ),
    (
        "pending",
        "run 'busy' step 'n2' is ready, but 1 of its dependencies are unmet",
        (
            f"INSERT INTO dependencies VALUES ({key('busy', 'n0')}, {key('busy', 'n2')}, "
            f"'succeeded', 0)",
        ),
    ),
    (
        "pending",
        "run 'busy' step 'n0' is running, but counts 1 unmet dependencies",
        (steps_set("busy", "n0", "pending = 1"),),
    ),
    (
        "pending",
        "run 'busy' step 'last' is pending, but all its dependencies are met",
        (
            f"DELETE FROM dependencies WHERE step = {key('busy', 'last')}",
            steps_set("busy", "last", "pending = 0"),
        ),
    ),
    (
        "pending",
        "run 'busy' step 'last' is pending, but step 'n2' is skipped, so it can never run",
        (
            f"INSERT INTO dependencies VALUES ({key('busy', 'n2')}, {key('busy', 'last')}, "
            f"'succeeded', 0)",
            steps_set("busy", "last", "pending = 3"),
            steps_set(
                "busy",
                "n2",
                'status = \'skipped\', ended_at = 0, error = \'{"code":"x","message":"x"}\'',
            ),
            runs_set("busy", "open_steps = 3"),
            *told("busy", "n2", "step.skipped", 0),
        ),
    ),
]
