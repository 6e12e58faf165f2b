"""A statement or a few for each rule of a store, which break it."""

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


# The check, what it says (a part of it), and the statements that break its rule.
DAMAGES: list[tuple[str, str, tuple[str, ...]]] = [
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
    # --- counters
    ("counters", "run 'grown' counts 5 steps, but has 4", (runs_set("grown", "total_steps = 5"),)),
    (
        "counters",
        "run 'busy' counts 3 open steps, but has 4",
        (runs_set("busy", "open_steps = 3"),),
    ),
    ("counters", "run 'paused' counts 0 holds, but has 1", (runs_set("paused", "holds = 0"),)),
    (
        "counters",
        "the next key of runs is 2, but",
        ("UPDATE meta SET value = 2 WHERE name = 'next_run'",),
    ),
    (
        "counters",
        "the next key of steps is 2, but",
        ("UPDATE meta SET value = 2 WHERE name = 'next_step'",),
    ),
    # --- graphs
    (
        "graphs",
        "run 'busy' step 'last' depends on step 'n1' of run 'partly'",
        (
            steps_set("busy", "n1", f"run_key = {run_key('partly')}"),
            runs_set("busy", "total_steps = 3, open_steps = 3"),
            runs_set("partly", "total_steps = 2, open_steps = 2"),
            "UPDATE runs SET status = 'running', started_at = 0 WHERE run_id = 'partly'",
        ),
    ),
    (
        "graphs",
        "run 'grown' step 'leaf' has the parent 't' of run 'talker'",
        (steps_set("grown", "leaf", f"parent = {key('talker', 't')}"),),
    ),
    (
        "graphs",
        "run 'failed' step 'then' has the cause 't' of run 'talker'",
        (steps_set("failed", "then", f"cause = {key('talker', 't')}"),),
    ),
    (
        "graphs",
        "run 'child' was started by step 'leaf', which is not in the run that started it",
        (runs_set("child", f"parent_step = {key('grown', 'leaf')}"),),
    ),
    (
        "graphs",
        "run 'grown' step 'all' waits for all below step 'root', but not for 'leaf', which "
        "that emitted",
        (
            f"DELETE FROM dependencies WHERE needs = {key('grown', 'leaf')} AND step = "
            f"{key('grown', 'all')}",
        ),
    ),
    (
        "graphs",
        "run 'repeated' step 'join' waits for all below step 'plan', but not for 'first', which "
        "that repeated",
        (
            f"DELETE FROM dependencies WHERE needs = {key('repeated', 'first')} AND step = "
            f"{key('repeated', 'join')}",
        ),
    ),
    (
        "graphs",
        "run 'canceled' step 'a' is in a cycle of dependencies",
        (
            f"INSERT INTO dependencies VALUES ({key('canceled', 'b')}, {key('canceled', 'a')}, "
            f"'finished', 0)",
        ),
    ),
    # --- runs
    (
        "runs",
        "run 'grown' is running, but none of its steps is open",
        (runs_set("grown", "status = 'running', ended_at = NULL"),),
    ),
    (
        "runs",
        "run 'busy' is succeeded, but 4 of its steps are open",
        (runs_set("busy", "status = 'succeeded', ended_at = 0"),),
    ),
    (
        "runs",
        "run 'failed' is succeeded, but by its steps it should be failed",
        (
            runs_set("failed", "status = 'succeeded'"),
            f"UPDATE events SET type = 'run.succeeded' WHERE type = 'run.failed' AND run_key = "
            f"{run_key('failed')}",
        ),
    ),
    (
        "runs",
        "run 'busy' is pending, but 2 of its steps were claimed",
        (runs_set("busy", "status = 'pending', started_at = NULL"),),
    ),
    (
        "runs",
        "run 'grown' is succeeded, but when it ended is not known",
        (runs_set("grown", "ended_at = NULL"),),
    ),
    (
        "runs",
        "run 'grown' is succeeded, but when it started is not known",
        (runs_set("grown", "started_at = NULL"),),
    ),
    (
        "runs",
        "run 'failed' is failed, but the last end that was told of it is run.canceled",
        (
            f"UPDATE events SET type = 'run.canceled' WHERE type = 'run.failed' AND run_key = "
            f"{run_key('failed')}",
        ),
    ),
    (
        "runs",
        "run 'busy' is running again after its end (event",
        (
            *told("busy", "n0", "run.failed", 1),
            "UPDATE events SET step = NULL WHERE type = 'run.failed'",
        ),
    ),
    # --- waits
    (
        "waits",
        "run 'asleep' step 'w' waits, but for nothing that can come",
        (steps_set("asleep", "w", "wake_at = NULL"),),
    ),
    (
        "waits",
        "run 'grown' step 'leaf' is succeeded, but still registered to wait for 'run:x'",
        (steps_set("grown", "leaf", "wait_for = 'run:x'"),),
    ),
    (
        "waits",
        "run 'grown' step 'leaf' is succeeded for '', but still registered to wait for 'run:x'",
        (f"INSERT INTO waits VALUES ({key('grown', 'leaf')}, 'run:x')",),
    ),
    (
        "waits",
        "run 'both' step 'w' waits for all of several things, but for nothing that can come",
        (f"DELETE FROM waits WHERE step = {key('both', 'w')}",),
    ),
    (
        "waits",
        "run 'either' step 'w' waits for any of several things, and one of them came (run:grown)",
        (f"INSERT INTO waits VALUES ({key('either', 'w')}, 'run:grown')",),
    ),
    (
        "waits",
        "run 'both' step 'w' waits for all of several things, and all of them came",
        (
            f"DELETE FROM waits WHERE step = {key('both', 'w')}",
            f"INSERT INTO waits VALUES ({key('both', 'w')}, 'run:grown')",
            f"INSERT INTO waits VALUES ({key('both', 'w')}, 'value:talker\nstate')",
        ),
    ),
    (
        "waits",
        "run 'parent' step 'w' waits for the end of run 'grown', which is succeeded",
        (steps_set("parent", "w", "wait_for = 'run:grown'"),),
    ),
    (
        "waits",
        "run 'parent' step 'w' waits for the end of a run that is not there (run:gone)",
        (steps_set("parent", "w", "wait_for = 'run:gone'"),),
    ),
    (
        "waits",
        "run 'reader' step 'w' waits for a message on 'mail', which came (message",
        (
            f"UPDATE messages SET run_key = {run_key('reader')} WHERE receiver IS NULL",
            f"UPDATE events SET run_key = {run_key('reader')}, seq = 99 WHERE run_key = "
            f"{run_key('talker')} AND type = 'message.sent' AND seq = 3",
            "UPDATE events SET seq = (SELECT 1 + event_seq FROM runs r WHERE r.id = "
            "events.run_key) WHERE seq = 99",
            runs_set("reader", "event_seq = event_seq + 1"),
            f"UPDATE events SET seq = 3 WHERE run_key = {run_key('talker')} AND seq = (SELECT "
            f"event_seq FROM runs r WHERE r.id = events.run_key)",
            runs_set("talker", "event_seq = event_seq - 1"),
        ),
    ),
    (
        "waits",
        "run 'admirer' step 'w' waits for the value 'state' of run 'talker', which was set",
        (steps_set("admirer", "w", "wait_for = 'value:talker\nstate'"),),
    ),
    (
        "waits",
        "run 'partly' step 'h' is ready, but its run is paused, or it is held back itself",
        (steps_set("partly", "h", "status = 'ready'"),),
    ),
    (
        "waits",
        "run 'partly' step 'h' is held, but neither is its run paused nor it held back itself",
        (steps_set("partly", "h", "held = 0"), runs_set("partly", "holds = 0")),
    ),
    (
        "waits",
        "run 'paused' step 'sleeper' waits, and its time goes on though it is held back",
        (steps_set("paused", "sleeper", "wake_at = 5, wait_left = NULL"),),
    ),
    (
        "waits",
        "run 'asleep' step 'w' waits, and its time stands still though it is not held back",
        (steps_set("asleep", "w", "wait_left = 5, wake_at = NULL"),),
    ),
    # --- messages
    (
        "messages",
        "run 'talker' was told 2 times of messages, but there are 1",
        ("DELETE FROM messages WHERE receiver IS NULL",),
    ),
    (
        "messages",
        "run 'talker' was told 1 times of received messages, but there are 0",
        ("UPDATE messages SET receiver = NULL, operation = NULL",),
    ),
    (
        "messages",
        "run 'talker' was told 2 times of values, but there are 1",
        ('DELETE FROM "values" WHERE seq = 2',),
    ),
    (
        "messages",
        "run 'talker' has 2 values of 'state', numbered 1 to 3",
        ('UPDATE "values" SET seq = 3 WHERE seq = 2',),
    ),
    (
        "messages",
        "run 'grown' step 'leaf' received message",
        (f"UPDATE messages SET receiver = {key('grown', 'leaf')} WHERE receiver IS NOT NULL",),
    ),
    # --- queue limits
    (
        "queue_limits",
        "queue 'narrow' has 2 steps running, and lets through 1",
        ("UPDATE queues SET max_in_flight = 1 WHERE name = 'narrow'",),
    ),
    (
        "queue_limits",
        "worker 'w1' runs 2 steps of queue 'narrow', which lets through 1 for each",
        ("UPDATE queues SET max_per_worker = 1 WHERE name = 'narrow'",),
    ),
    (
        "queue_limits",
        "queue 'default' has spent more than its rate lets through",
        ("UPDATE queues SET tokens = -1 WHERE name = 'default'",),
    ),
    (
        "queue_limits",
        "run 'busy' step 'n0' is running, but nobody holds its lease",
        (steps_set("busy", "n0", "worker = NULL"),),
    ),
    # --- events
    (
        "events",
        "run 'busy' has 2 events, numbered 1 to 2; its last number is 3",
        (runs_set("busy", "event_seq = 3"),),
    ),
    (
        "events",
        "run 'busy' has 2 events, numbered 1 to 3; its last number is 3",
        (
            f"UPDATE events SET seq = 3 WHERE seq = 2 AND run_key = {run_key('busy')}",
            runs_set("busy", "event_seq = 3"),
        ),
    ),
    (
        "events",
        "event 2 is of the unknown type 'run.jumped'",
        (f"UPDATE events SET type = 'run.jumped' WHERE seq = 2 AND run_key = {run_key('busy')}",),
    ),
    (
        "events",
        "run 'busy' its creation was told 0 times",
        (f"UPDATE events SET type = 'run.started' WHERE seq = 1 AND run_key = {run_key('busy')}",),
    ),
    (
        "events",
        "run 'grown' step 'leaf' event 2 is about it, but in run 'busy'",
        (
            f"UPDATE events SET step = {key('grown', 'leaf')} WHERE seq = 2 AND run_key = "
            f"{run_key('busy')}",
        ),
    ),
    # --- artifacts
    (
        "artifacts",
        "run 'grown' step 'root' artifact 'inline' has 10 bytes with sha256",
        ("UPDATE artifacts SET sha256 = 'x'",),
    ),
    (
        "artifacts",
        "artifact 'inline' has 10 bytes with sha256",
        ("UPDATE artifacts SET size = 11",),
    ),
]
