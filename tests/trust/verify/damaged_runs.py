"""A statement or a few for each rule about runs, waits, messages and events, which break it."""

from __future__ import annotations

from tests.trust.verify.statements import key, run_key, runs_set, steps_set, told

# The check, what it says (a part of it), and the statements that break its rule.
OF_RUNS: list[tuple[str, str, tuple[str, ...]]] = [
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
    (
        "runs",
        "run 'busy' is running, but has an error",
        (runs_set("busy", 'error = \'{"code":"x","message":"y"}\''),),
    ),
    (
        "runs",
        "run 'failed' is failed; the step that made it fail is not there",
        (runs_set("failed", "error_step = 4711"),),
    ),
    (
        "runs",
        "run 'grown' step 'leaf' is succeeded; the step that made it fail is succeeded",
        (runs_set("grown", f"error_step = {key('grown', 'leaf')}"),),
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
