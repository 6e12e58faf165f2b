"""Runs, steps, dependencies, results, records, artifacts, queues, events and workers.

`{key}` is a 64-bit integer column, `{blob}` the type of bytes, `{clustered}` what makes the
primary key the table's own order, where the database knows that.
"""


def _one_of(column: str, *texts: str) -> str:
    """The column is one of these texts; the first ones are tried first.

    Not written with IN: SQLite makes a table of such a list in every statement that changes the
    column, which cost as much as the change.
    """
    return " OR ".join(f"{column} = '{text}'" for text in texts)


_UNSUCCESSFUL = ("canceled", "failed", "skipped")
_STATUS = _one_of(
    "status", "running", "succeeded", "ready", "pending", "waiting", "held", *_UNSUCCESSFUL
)
_RUN_STATUS = _one_of("status", "running", "succeeded", "pending", "paused", "failed", "canceled")

STATEMENTS: tuple[str, ...] = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value {key} NOT NULL)",
    "INSERT INTO meta (name, value) VALUES "
    "('schema_version', 0), ('next_run', 1), ('next_step', 1), ('control', 0)",
    f"""CREATE TABLE runs (
        id {{key}} PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        package TEXT NOT NULL,
        entrypoint TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL CHECK ({_RUN_STATUS}),
        input TEXT NOT NULL,
        metadata TEXT NOT NULL,
        tags TEXT NOT NULL,
        total_steps {{key}} NOT NULL,
        open_steps {{key}} NOT NULL CHECK (open_steps >= 0),
        event_seq {{key}} NOT NULL,
        parent_run {{key}} REFERENCES runs (id) ON DELETE SET NULL,
        parent_step {{key}},
        created_at {{key}} NOT NULL,
        started_at {{key}},
        ended_at {{key}}
    )""",
    "CREATE INDEX runs_by_status ON runs (status, id)",
    "CREATE INDEX runs_by_parent ON runs (parent_run) WHERE parent_run IS NOT NULL",
    f"""CREATE TABLE steps (
        id {{key}} PRIMARY KEY,
        run_key {{key}} NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        queue TEXT NOT NULL,
        status TEXT NOT NULL CHECK ({_STATUS}),
        priority {{key}} NOT NULL,
        ready_at {{key}} NOT NULL,
        pending {{key}} NOT NULL CHECK (pending >= 0),
        attempt {{key}} NOT NULL CHECK (attempt >= 0),
        failures {{key}} NOT NULL CHECK (failures >= 0),
        lost_leases {{key}} NOT NULL CHECK (lost_leases >= 0),
        max_attempts {{key}} NOT NULL,
        timeout {{key}},
        retry TEXT,
        allow_failure {{key}} NOT NULL,
        input TEXT NOT NULL,
        metadata TEXT,
        dedup_key TEXT,
        site TEXT,
        parent {{key}},
        worker TEXT,
        token {{key}} NOT NULL,
        expires_at {{key}},
        error TEXT,
        cause {{key}},
        wait TEXT,
        wait_run TEXT,
        wake_at {{key}},
        created_at {{key}} NOT NULL,
        started_at {{key}},
        ended_at {{key}},
        UNIQUE (run_key, step_id),
        CHECK ((status = 'running') = (expires_at IS NOT NULL)),
        CHECK (status <> 'ready' OR pending = 0)
    )""",
    # Partial indexes for the hot states only: a step that ended costs them nothing.
    # The kind comes before the order, so that steps nobody here can run are never waded through.
    "CREATE INDEX steps_ready ON steps (queue, kind, priority, ready_at, id) "
    "WHERE status = 'ready'",
    "CREATE INDEX steps_suspect ON steps (queue, kind) WHERE status = 'ready' AND lost_leases > 0",
    "CREATE INDEX steps_running ON steps (queue, expires_at) WHERE status = 'running'",
    "CREATE INDEX steps_due ON steps (wake_at) WHERE status = 'waiting' AND wake_at IS NOT NULL",
    "CREATE INDEX steps_awaiting_run ON steps (wait_run) "
    "WHERE status = 'waiting' AND wait_run IS NOT NULL",
    "CREATE INDEX steps_unsuccessful ON steps (run_key, status) "
    f"WHERE {_one_of('status', *_UNSUCCESSFUL)}",
    "CREATE INDEX steps_by_parent ON steps (parent) WHERE parent IS NOT NULL",
    "CREATE INDEX steps_by_cause ON steps (cause) WHERE cause IS NOT NULL",
    "CREATE UNIQUE INDEX steps_dedup ON steps (run_key, dedup_key) WHERE dedup_key IS NOT NULL",
    f"""CREATE TABLE dependencies (
        needs {{key}} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        step {{key}} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        condition TEXT NOT NULL CHECK ({_one_of("condition", "succeeded", "finished", "failed")}),
        subtree {{key}} NOT NULL,
        PRIMARY KEY (needs, step),
        CHECK (needs <> step)
    ){{clustered}}""",
    "CREATE INDEX dependencies_by_step ON dependencies (step)",
    """CREATE TABLE results (
        step {key} PRIMARY KEY REFERENCES steps (id) ON DELETE CASCADE,
        value TEXT NOT NULL,
        records TEXT,
        committed_at {key} NOT NULL
    )""",
    """CREATE TABLE records (
        package TEXT NOT NULL,
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        step {key} NOT NULL,
        updated_at {key} NOT NULL,
        PRIMARY KEY (package, collection, key)
    ){clustered}""",
    """CREATE TABLE artifacts (
        id {identity},
        artifact_id TEXT NOT NULL UNIQUE,
        run_key {key} NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        content_type TEXT NOT NULL,
        metadata TEXT NOT NULL,
        size {key} NOT NULL,
        sha256 TEXT NOT NULL,
        uri TEXT,
        body {blob},
        created_at {key} NOT NULL,
        UNIQUE (step, name),
        CHECK ((uri IS NULL) <> (body IS NULL))
    )""",
    "CREATE INDEX artifacts_by_run ON artifacts (run_key, id)",
    """CREATE TABLE queues (
        name TEXT PRIMARY KEY,
        max_in_flight {key} CHECK (max_in_flight > 0),
        rate_limit DOUBLE PRECISION CHECK (rate_limit > 0),
        rate_period {key} NOT NULL,
        burst {key},
        tokens DOUBLE PRECISION,
        refilled_at {key} NOT NULL,
        max_per_worker {key} CHECK (max_per_worker > 0),
        labels TEXT NOT NULL
    )""",
    """CREATE TABLE events (
        run_key {key} NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq {key} NOT NULL,
        type TEXT NOT NULL,
        at {key} NOT NULL,
        step {key},
        attempt {key},
        worker TEXT,
        data TEXT,
        PRIMARY KEY (run_key, seq)
    ){clustered}""",
    """CREATE TABLE workers (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        pid {key} NOT NULL,
        version TEXT NOT NULL,
        queues TEXT,
        started_at {key} NOT NULL,
        seen_at {key} NOT NULL,
        kinds TEXT NOT NULL,
        labels TEXT NOT NULL
    )""",
)
