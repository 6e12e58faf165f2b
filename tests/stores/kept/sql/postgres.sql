-- ArrivalStatements.first_failure(run_key)
SELECT steps.error
FROM steps
WHERE steps.run_key = $1::BIGINT AND steps.status = 'failed' AND steps.allow_failure = 0 ORDER BY steps.id
 LIMIT 1;

-- ArrivalStatements.first_message(run_key, topic)
SELECT messages.created_at, messages.payload, messages.id
FROM messages
WHERE messages.run_key = $1::BIGINT AND messages.topic = $2::VARCHAR AND messages.receiver IS NULL ORDER BY messages.id
 LIMIT 1;

-- ArrivalStatements.first_value(run_key, key)
SELECT values.at, values.value
FROM values
WHERE values.run_key = $1::BIGINT AND values.key = $2::VARCHAR ORDER BY values.seq
 LIMIT 1;

-- ArrivalStatements.given(step, operation)
SELECT messages.created_at, messages.payload, messages.id
FROM messages
WHERE messages.receiver = $1::BIGINT AND messages.operation = $2::VARCHAR AND messages.receiver IS NOT NULL;

-- ArrivalStatements.last_results(run_key)
SELECT results.value
FROM steps LEFT OUTER JOIN results ON results.step = steps.id
WHERE steps.run_key = $1::BIGINT AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id)) ORDER BY steps.id
 LIMIT 2;

-- ArrivalStatements.last_value(run_key, key)
SELECT values.at, values.value
FROM values
WHERE values.run_key = $1::BIGINT AND values.key = $2::VARCHAR ORDER BY values.seq DESC
 LIMIT 1;

-- ArrivalStatements.run(run_id)
SELECT runs.id, runs.status, runs.ended_at
FROM runs
WHERE runs.run_id = $1::VARCHAR;

-- CancelStatements.cancel_open(now, error, run_key)
UPDATE steps SET status='canceled', expires_at=NULL, error=$1::VARCHAR, wait_for=NULL, wake_at=NULL, ended_at=$2::BIGINT, wait_left=NULL WHERE steps.run_key = $3::BIGINT AND steps.status IN ('held', 'pending', 'ready', 'running', 'waiting') RETURNING steps.id;

-- CancelStatements.forget_waits(keys)
DELETE FROM waits WHERE waits.step IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- CancelStatements.open_below(run_key)
WITH RECURSIVE below(id) AS
(SELECT runs.id AS id
FROM runs
WHERE runs.parent_run IS NOT NULL AND runs.parent_run = $1::BIGINT AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')) UNION ALL SELECT runs.id AS id
FROM runs, below
WHERE runs.parent_run IS NOT NULL AND runs.parent_run = below.id AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')))
 SELECT below.id
FROM below ORDER BY below.id;

-- CheckpointStatements.drop(id)
DELETE FROM checkpoints WHERE execution_id = $1;

-- CheckpointStatements.drop_operations(id)
DELETE FROM checkpoint_operations WHERE execution_id = $1;

-- CheckpointStatements.head(id)
SELECT head, pause_requested, pause_reason FROM checkpoints WHERE execution_id = $1;

-- CheckpointStatements.held(id, token)
SELECT 1 FROM steps WHERE id = $1 AND token = $2 AND status = 'running' FOR SHARE;

-- CheckpointStatements.locked_head(id)
SELECT head, pause_requested, pause_reason FROM checkpoints WHERE execution_id = $1 FOR UPDATE;

-- CheckpointStatements.operation_texts(id)
SELECT operation_id, body FROM checkpoint_operations WHERE execution_id = $1 ORDER BY seq;

-- CheckpointStatements.operations(id)
SELECT body FROM checkpoint_operations WHERE execution_id = $1 ORDER BY seq;

-- CheckpointStatements.put_head(id, head, paused, reason, now)
INSERT INTO checkpoints (execution_id, head, pause_requested, pause_reason, updated_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (execution_id) DO UPDATE SET head = excluded.head, pause_requested = excluded.pause_requested, pause_reason = excluded.pause_reason, updated_at = excluded.updated_at;

-- CheckpointStatements.put_operation(id, operation, body)
INSERT INTO checkpoint_operations (execution_id, seq, operation_id, body) SELECT $1, coalesce(max(seq), 0) + 1, $2, $3 FROM checkpoint_operations WHERE execution_id = $1 ON CONFLICT (execution_id, operation_id) DO UPDATE SET body = excluded.body;

-- CheckpointStatements.renew_head(id, head, now, present)
INSERT INTO checkpoints (execution_id, head, pause_requested, pause_reason, updated_at) VALUES ($1, $2, 0, '', $3) ON CONFLICT (execution_id) DO UPDATE SET head = excluded.head, updated_at = excluded.updated_at WHERE substr(checkpoints.head, 1, 20) = $4 RETURNING pause_requested;

-- ClaimStatements.find_ready(queue, kind, now, suspect_from, limit)
SELECT steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token, steps.created_at
FROM steps
WHERE steps.status = 'ready' AND steps.queue = $1::VARCHAR AND steps.kind = $2::VARCHAR AND steps.ready_at <= $3::BIGINT AND steps.lost_leases < $4::BIGINT ORDER BY steps.priority, steps.ready_at, steps.id
 LIMIT $5 FOR UPDATE SKIP LOCKED;

-- ClaimStatements.find_suspect(suspect_from, queues, kinds, now)
SELECT steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token, steps.created_at
FROM steps
WHERE steps.status = 'ready' AND steps.lost_leases > 0 AND steps.lost_leases >= $1::BIGINT AND steps.queue IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) AND steps.kind IN (SELECT anon_2.value
FROM jsonb_array_elements_text(CAST($4 AS JSONB)) AS anon_2
 LIMIT $3::BIGINT) AND steps.ready_at <= $5::BIGINT ORDER BY steps.priority, steps.ready_at, steps.id
 LIMIT 1 FOR UPDATE SKIP LOCKED;

-- ClaimStatements.give_back(keys)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), worker=NULL, token=(steps.token - 1), expires_at=NULL, started_at=CASE WHEN (steps.token > 1) THEN steps.started_at ELSE NULL END WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND coalesce(steps.status, '') = 'running';

-- ClaimStatements.load_runs(keys)
SELECT runs.status, runs.id, runs.run_id, runs.package, runs.entrypoint, runs.name, runs.metadata, runs.tags, runs.input, runs.created_at, runs.parent_run, runs.queue, runs.priority
FROM runs
WHERE runs.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- ClaimStatements.ready_kinds(queue)
WITH RECURSIVE kinds(kind) AS
(SELECT min(steps.kind) AS kind
FROM steps
WHERE steps.status = 'ready' AND steps.queue = $1::VARCHAR UNION ALL SELECT (SELECT min(steps.kind) AS kind
FROM steps
WHERE steps.status = 'ready' AND steps.queue = $1::VARCHAR AND steps.kind > kinds.kind) AS anon_2
FROM kinds
WHERE kinds.kind IS NOT NULL)
 SELECT kinds.kind, EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.lost_leases > 0 AND steps.queue = $1::VARCHAR) AS anon_1
FROM kinds
WHERE kinds.kind IS NOT NULL;

-- ClaimStatements.start_runs(now, keys)
WITH locked AS MATERIALIZED
(SELECT runs.id AS id
FROM runs
WHERE runs.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) AND runs.status = 'pending' FOR NO KEY UPDATE SKIP LOCKED)
 UPDATE runs SET status='running', started_at=coalesce(runs.started_at, $1::BIGINT) WHERE runs.id IN (SELECT locked.id
FROM locked) RETURNING runs.id, runs.run_id, runs.package, runs.entrypoint, runs.name, runs.metadata, runs.tags, runs.input, runs.created_at, runs.parent_run, runs.queue, runs.priority;

-- ClaimStatements.step_names(keys)
SELECT steps.id, steps.step_id
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- ClaimStatements.take(worker, now, expires, keys)
UPDATE steps SET status='running', attempt=(steps.attempt + 1), worker=$1::VARCHAR, token=(steps.token + 1), expires_at=$2::BIGINT, started_at=$3::BIGINT WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($4 AS JSONB)) AS anon_1
 LIMIT $5::BIGINT) AND coalesce(steps.status, '') = 'ready';

-- ClosingStatements.hold_back(now, keys)
UPDATE steps SET status=CASE WHEN (steps.status = 'ready') THEN 'held' ELSE steps.status END, wake_at=NULL, wait_left=coalesce(steps.wait_left, steps.wake_at - $1::BIGINT) FROM runs WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) AND runs.id = steps.run_key AND (runs.status = 'paused' OR steps.held = 1) AND (coalesce(steps.status, '') = 'ready' OR coalesce(steps.status, '') = 'waiting');

-- FusedStatements.add_graphs(runs, steps, edges, events)
WITH new_runs AS
(INSERT INTO runs (id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds) SELECT input.id AS id, input.run_id AS run_id, input.package AS package, input.entrypoint AS entrypoint, input.name AS name, input.status AS status, input.input AS input, input.metadata AS metadata, input.tags AS tags, input.total_steps AS total_steps, input.open_steps AS open_steps, input.event_seq AS event_seq, input.parent_run AS parent_run, input.parent_step AS parent_step, input.created_at AS created_at, input.started_at AS started_at, input.ended_at AS ended_at, input.holds AS holds
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS TEXT) AS run_id, CAST(given.value ->> 2 AS TEXT) AS package, CAST(given.value ->> 3 AS TEXT) AS entrypoint, CAST(given.value ->> 4 AS TEXT) AS name, CAST(given.value ->> 5 AS TEXT) AS status, CAST(given.value ->> 6 AS TEXT) AS input, CAST(given.value ->> 7 AS TEXT) AS metadata, CAST(given.value ->> 8 AS TEXT) AS tags, CAST(given.value ->> 9 AS BIGINT) AS total_steps, CAST(given.value ->> 10 AS BIGINT) AS open_steps, CAST(given.value ->> 11 AS BIGINT) AS event_seq, CAST(given.value ->> 12 AS BIGINT) AS parent_run, CAST(given.value ->> 13 AS BIGINT) AS parent_step, CAST(given.value ->> 14 AS BIGINT) AS created_at, CAST(given.value ->> 15 AS BIGINT) AS started_at, CAST(given.value ->> 16 AS BIGINT) AS ended_at, CAST(given.value ->> 17 AS BIGINT) AS holds
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input),
new_steps AS
(INSERT INTO steps (id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries) SELECT input.id AS id, input.run_key AS run_key, input.step_id AS step_id, input.kind AS kind, input.queue AS queue, input.status AS status, input.priority AS priority, input.ready_at AS ready_at, input.pending AS pending, input.attempt AS attempt, input.failures AS failures, input.lost_leases AS lost_leases, input.max_attempts AS max_attempts, input.timeout AS timeout, input.retry AS retry, input.allow_failure AS allow_failure, input.input AS input, input.metadata AS metadata, input.dedup_key AS dedup_key, input.site AS site, input.parent AS parent, input.token AS token, input.created_at AS created_at, input.max_recoveries AS max_recoveries
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS run_key, CAST(given.value ->> 2 AS TEXT) AS step_id, CAST(given.value ->> 3 AS TEXT) AS kind, CAST(given.value ->> 4 AS TEXT) AS queue, CAST(given.value ->> 5 AS TEXT) AS status, CAST(given.value ->> 6 AS BIGINT) AS priority, CAST(given.value ->> 7 AS BIGINT) AS ready_at, CAST(given.value ->> 8 AS BIGINT) AS pending, CAST(given.value ->> 9 AS BIGINT) AS attempt, CAST(given.value ->> 10 AS BIGINT) AS failures, CAST(given.value ->> 11 AS BIGINT) AS lost_leases, CAST(given.value ->> 12 AS BIGINT) AS max_attempts, CAST(given.value ->> 13 AS BIGINT) AS timeout, CAST(given.value ->> 14 AS TEXT) AS retry, CAST(given.value ->> 15 AS BIGINT) AS allow_failure, CAST(given.value ->> 16 AS TEXT) AS input, CAST(given.value ->> 17 AS TEXT) AS metadata, CAST(given.value ->> 18 AS TEXT) AS dedup_key, CAST(given.value ->> 19 AS TEXT) AS site, CAST(given.value ->> 20 AS BIGINT) AS parent, CAST(given.value ->> 21 AS BIGINT) AS token, CAST(given.value ->> 22 AS BIGINT) AS created_at, CAST(given.value ->> 23 AS BIGINT) AS max_recoveries
FROM jsonb_array_elements(CAST($3 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input),
new_events AS
(INSERT INTO events (run_key, seq, type, at, step, attempt, worker, data) SELECT input.run_key AS run_key, input.seq AS seq, input.type AS type, input.at AS at, input.step AS step, input.attempt AS attempt, input.worker AS worker, input.data AS data
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS BIGINT) AS seq, CAST(given.value ->> 2 AS TEXT) AS type, CAST(given.value ->> 3 AS BIGINT) AS at, CAST(given.value ->> 4 AS BIGINT) AS step, CAST(given.value ->> 5 AS BIGINT) AS attempt, CAST(given.value ->> 6 AS TEXT) AS worker, CAST(given.value ->> 7 AS TEXT) AS data
FROM jsonb_array_elements(CAST($4 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input)
 INSERT INTO dependencies (needs, step, condition, subtree) SELECT input.needs, input.step, input.condition, input.subtree
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS needs, CAST(given.value ->> 1 AS BIGINT) AS step, CAST(given.value ->> 2 AS TEXT) AS condition, CAST(given.value ->> 3 AS BIGINT) AS subtree
FROM jsonb_array_elements(CAST($5 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- FusedStatements.claim(worker, now, expires, suspect_from, suspects, wanted)
WITH wanted AS
(SELECT input.queue AS queue, input.kind AS kind, input."limit" AS "limit", input.pool AS pool, input.budget AS budget
FROM (SELECT CAST(given.value ->> 0 AS TEXT) AS queue, CAST(given.value ->> 1 AS TEXT) AS kind, CAST(given.value ->> 2 AS BIGINT) AS "limit", CAST(given.value ->> 3 AS BIGINT) AS pool, CAST(given.value ->> 4 AS BIGINT) AS budget
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input),
found AS MATERIALIZED
(SELECT each.priority AS priority, each.ready_at AS ready_at, each.id AS id, wanted.pool AS pool, wanted."limit" AS "limit", wanted.queue AS queue, wanted.budget AS budget
FROM wanted JOIN LATERAL (SELECT steps.priority AS priority, steps.ready_at AS ready_at, steps.id AS id
FROM steps
WHERE steps.status = 'ready' AND steps.queue = wanted.queue AND steps.kind = wanted.kind AND steps.ready_at <= $3::BIGINT AND steps.lost_leases < $4::BIGINT ORDER BY steps.priority, steps.ready_at, steps.id
 LIMIT least(wanted."limit", wanted.budget) FOR UPDATE SKIP LOCKED) AS each ON true),
suspect AS MATERIALIZED
(SELECT steps.priority AS priority, steps.ready_at AS ready_at, steps.id AS id, wanted.pool AS pool, wanted."limit" AS "limit", wanted.queue AS queue, wanted.budget AS budget
FROM steps, wanted
WHERE steps.status = 'ready' AND steps.queue = wanted.queue AND steps.kind = wanted.kind AND steps.ready_at <= $3::BIGINT AND steps.lost_leases > 0 AND steps.lost_leases >= $4::BIGINT ORDER BY steps.priority, steps.ready_at, steps.id
 LIMIT $5 FOR UPDATE OF steps SKIP LOCKED),
locked AS
(SELECT found.priority AS priority, found.ready_at AS ready_at, found.id AS id, found.pool AS pool, found."limit" AS "limit", found.queue AS queue, found.budget AS budget
FROM found UNION ALL SELECT suspect.priority AS priority, suspect.ready_at AS ready_at, suspect.id AS id, suspect.pool AS pool, suspect."limit" AS "limit", suspect.queue AS queue, suspect.budget AS budget
FROM suspect),
best AS
(SELECT placed.priority AS priority, placed.ready_at AS ready_at, placed.id AS id, placed.pool AS pool, placed."limit" AS "limit", placed.queue AS queue, placed.budget AS budget, placed.place AS place, row_number() OVER (PARTITION BY placed.queue ORDER BY placed.priority, placed.ready_at, placed.id) AS turn
FROM (SELECT locked.priority AS priority, locked.ready_at AS ready_at, locked.id AS id, locked.pool AS pool, locked."limit" AS "limit", locked.queue AS queue, locked.budget AS budget, row_number() OVER (PARTITION BY locked.pool ORDER BY locked.priority, locked.ready_at, locked.id) AS place
FROM locked) AS placed
WHERE placed.place <= placed."limit"),
taken AS
(UPDATE steps SET status='running', attempt=(steps.attempt + 1), worker=$6::VARCHAR, token=(steps.token + 1), expires_at=$7::BIGINT, started_at=$3::BIGINT FROM best WHERE steps.id = best.id AND (best.budget IS NULL OR best.turn <= best.budget) RETURNING steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt - 1 AS anon_1, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token - 1 AS anon_2, steps.created_at)
 SELECT taken.priority, taken.ready_at, taken.id, taken.run_key, taken.step_id, taken.kind, taken.queue, taken.input, taken.anon_1, taken.failures, taken.lost_leases, taken.max_attempts, taken.timeout, taken.retry, taken.metadata, taken.dedup_key, taken.site, taken.parent, taken.allow_failure, taken.wait, taken.wake_at, taken.anon_2, taken.created_at, (SELECT count(*) AS count_1
FROM locked) AS anon_3
FROM taken;

-- FusedStatements.count(rows, events)
WITH counted AS
(UPDATE runs SET total_steps=(runs.total_steps + input.total), open_steps=(runs.open_steps + input.open), event_seq=(runs.event_seq + input.events) FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS total, CAST(given.value ->> 2 AS BIGINT) AS open, CAST(given.value ->> 3 AS BIGINT) AS events
FROM jsonb_array_elements(CAST($3 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input WHERE runs.id = input.id RETURNING runs.id, runs.open_steps, runs.event_seq, runs.status, runs.holds),
added AS
(INSERT INTO events (run_key, seq, type, at, step, attempt, worker, data) SELECT input.run_key AS run_key, counted.event_seq - input.seq AS anon_1, input.type AS type, input.at AS at, input.step AS step, input.attempt AS attempt, input.worker AS worker, input.data AS data
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS BIGINT) AS seq, CAST(given.value ->> 2 AS TEXT) AS type, CAST(given.value ->> 3 AS BIGINT) AS at, CAST(given.value ->> 4 AS BIGINT) AS step, CAST(given.value ->> 5 AS BIGINT) AS attempt, CAST(given.value ->> 6 AS TEXT) AS worker, CAST(given.value ->> 7 AS TEXT) AS data
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input, counted
WHERE counted.id = input.run_key)
 SELECT counted.id, counted.open_steps, counted.event_seq, counted.status, counted.holds
FROM counted;

-- FusedStatements.end_runs(now, data, keys)
WITH ended AS
(UPDATE runs SET status=CASE WHEN (runs.error IS NOT NULL) THEN 'failed' WHEN (EXISTS (SELECT *
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'canceled' AND steps.cause IS NULL)) THEN 'canceled' WHEN (EXISTS (SELECT *
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'failed' AND steps.allow_failure = 0 AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id AND dependencies.condition = 'failed')))) THEN 'failed' ELSE 'succeeded' END, event_seq=(runs.event_seq + 1), ended_at=$1::BIGINT, holds=(runs.holds - CASE WHEN (runs.status = 'paused') THEN 1 ELSE 0 END), error_step=(SELECT steps.id
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'failed' AND steps.allow_failure = 0 AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id AND dependencies.condition = 'failed')) ORDER BY steps.ended_at, steps.id
 LIMIT 1) WHERE runs.id IN (SELECT CAST(anon_4.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($3 AS JSONB)) AS anon_4
 LIMIT $4::BIGINT) AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')) RETURNING runs.id, runs.run_id, runs.status, runs.event_seq),
told AS
(INSERT INTO events (run_key, seq, type, at, data) SELECT ended.id AS id, ended.event_seq AS event_seq, CASE ended.status WHEN 'succeeded' THEN 'run.succeeded' WHEN 'failed' THEN 'run.failed' WHEN 'canceled' THEN 'run.canceled' END AS anon_1, $1 AS anon_2, CAST($2 AS TEXT) AS anon_3
FROM ended),
sleepers AS MATERIALIZED
(SELECT each.id AS id, ended.run_id AS run_id
FROM ended JOIN LATERAL (SELECT sleeper.id AS id
FROM steps AS sleeper
WHERE sleeper.status = 'waiting' AND sleeper.wait_for = ('run:' || ended.run_id)
 LIMIT ALL OFFSET 0) AS each ON true),
woken AS
(UPDATE steps SET status='ready', ready_at=$1::BIGINT, wait_for=NULL FROM sleepers WHERE steps.id = sleepers.id AND coalesce(steps.status, '') = 'waiting' RETURNING steps.id, steps.run_key, steps.attempt, sleepers.run_id)
 SELECT 0, ended.id, ended.run_id, ended.status, ended.event_seq, CAST(NULL AS BIGINT) AS anon_5
FROM ended UNION ALL SELECT 1, woken.id, woken.run_id, CAST(NULL AS TEXT) AS anon_5, woken.attempt, woken.run_key
FROM woken UNION ALL SELECT 2, beside.step, ended.run_id, CAST(NULL AS TEXT) AS anon_5, CAST(NULL AS BIGINT) AS anon__1, CAST(NULL AS BIGINT) AS anon__2
FROM ended JOIN LATERAL (SELECT waits.step AS step
FROM waits
WHERE waits.name = ('run:' || ended.run_id)
 LIMIT ALL OFFSET 0) AS beside ON true;

-- FusedStatements.lock_runs(keys)
SELECT (SELECT meta.value
FROM meta
WHERE meta.name = 'control') AS anon_1, runs.id
FROM runs
WHERE runs.id = ANY (CAST($1 AS BIGINT[])) ORDER BY runs.id FOR NO KEY UPDATE OF runs;

-- FusedStatements.start_runs(now, keys)
WITH locked AS MATERIALIZED
(SELECT runs.id AS id
FROM runs
WHERE runs.id IN (SELECT CAST(anon_2.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_2
 LIMIT $3::BIGINT) AND runs.status = 'pending' FOR NO KEY UPDATE SKIP LOCKED),
started AS
(UPDATE runs SET status='running', event_seq=(runs.event_seq + 1), started_at=coalesce(runs.started_at, $1::BIGINT) WHERE runs.id IN (SELECT locked.id
FROM locked) RETURNING runs.id, runs.run_id, runs.package, runs.entrypoint, runs.name, runs.metadata, runs.tags, runs.input, runs.created_at, runs.parent_run, runs.queue, runs.priority, runs.event_seq),
told AS
(INSERT INTO events (run_key, seq, type, at) SELECT started.id AS id, started.event_seq AS event_seq, 'run.started', $1::BIGINT AS anon_1
FROM started)
 SELECT started.id, started.run_id, started.package, started.entrypoint, started.name, started.metadata, started.tags, started.input, started.created_at, started.parent_run, started.queue, started.priority, started.event_seq
FROM started;

-- FusedStatements.succeed(now, rows, all, worker, expires, suspect_from, kinds, queues, room, control)
WITH held AS
(UPDATE steps SET status='succeeded', expires_at=NULL, error=NULL, ended_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token, CAST(given.value ->> 2 AS TEXT) AS value, CAST(given.value ->> 3 AS TEXT) AS records, CAST(given.value ->> 4 AS BIGINT) AS after
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING steps.id, steps.run_key, steps.attempt, input.value, input.records, input.after),
stored AS
(INSERT INTO results (step, value, records, committed_at) SELECT held.id AS id, held.value AS value, held.records AS records, $1::BIGINT AS anon_1
FROM held),
whole AS
(SELECT count(*) = $4::BIGINT AS whole
FROM held),
counted AS
(UPDATE runs SET open_steps=(runs.open_steps - ended.count), event_seq=(runs.event_seq + ended.count) FROM (SELECT held.run_key AS run_key, count(*) AS count
FROM held GROUP BY held.run_key) AS ended, whole WHERE runs.id = ended.run_key AND whole.whole RETURNING runs.id, runs.status, runs.open_steps, runs.event_seq, runs.holds),
told AS
(INSERT INTO events (run_key, seq, type, at, step, attempt) SELECT held.run_key AS run_key, counted.event_seq - held.after AS anon_2, 'step.succeeded', $1::BIGINT AS anon_3, held.id AS id, held.attempt AS attempt
FROM held, counted
WHERE counted.id = held.run_key),
counts AS
(SELECT dependencies.step AS step, count(*) AS count
FROM dependencies JOIN held ON held.id = dependencies.needs
WHERE dependencies.condition IN ('succeeded', 'finished') GROUP BY dependencies.step),
alone AS
(SELECT (SELECT count(*) AS count_1
FROM counts) <= $10::BIGINT AND (SELECT meta.value
FROM meta
WHERE meta.name = 'control') = $11::BIGINT AND NOT (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = ANY (CAST($7 AS TEXT[])) AND steps.kind = ANY (CAST($8 AS TEXT[])))) AND NOT (EXISTS (SELECT *
FROM runs
WHERE runs.id IN (SELECT held.run_key
FROM held) AND runs.holds > 0)) AND NOT (EXISTS (SELECT *
FROM held, dependencies
WHERE held.id = dependencies.needs AND (dependencies.condition NOT IN ('succeeded', 'finished')))) AS alone),
dependents AS
(SELECT counts.step AS step, counts.count AS count, alone.alone AND steps.queue = ANY (CAST($7 AS TEXT[])) AND steps.kind = ANY (CAST($8 AS TEXT[])) AND steps.lost_leases < $9::BIGINT AS fits
FROM counts, alone, steps
WHERE steps.id = counts.step),
down AS
(UPDATE steps SET status=CASE WHEN (steps.pending - dependents.count = 0 AND dependents.fits) THEN 'running' WHEN (steps.pending - dependents.count = 0) THEN 'ready' ELSE steps.status END, ready_at=CASE WHEN (steps.pending - dependents.count = 0) THEN $1::BIGINT ELSE steps.ready_at END, pending=(steps.pending - dependents.count), attempt=CASE WHEN (steps.pending - dependents.count = 0 AND dependents.fits) THEN steps.attempt + 1 ELSE steps.attempt END, worker=CASE WHEN (steps.pending - dependents.count = 0 AND dependents.fits) THEN $5 ELSE steps.worker END, token=CASE WHEN (steps.pending - dependents.count = 0 AND dependents.fits) THEN steps.token + 1 ELSE steps.token END, expires_at=CASE WHEN (steps.pending - dependents.count = 0 AND dependents.fits) THEN $6::BIGINT ELSE steps.expires_at END, started_at=CASE WHEN (steps.pending - dependents.count = 0 AND dependents.fits) THEN $1::BIGINT ELSE steps.started_at END FROM dependents WHERE steps.id = dependents.step AND coalesce(steps.status, '') = 'pending' RETURNING steps.id, steps.status, CASE WHEN (steps.status = 'running') THEN CAST(json_build_array(steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt - 1, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token - 1, steps.created_at) AS TEXT) END AS claimed)
 SELECT 0 AS c0, held.id AS c1, CAST(NULL AS TEXT) AS c2, CAST(NULL AS BIGINT) AS c3, CAST(NULL AS BIGINT) AS c4, CAST(NULL AS BIGINT) AS c5, CAST(NULL AS BIGINT) AS c6
FROM held, whole
WHERE NOT whole.whole UNION ALL SELECT 1 AS c0, down.id AS c1, CAST(NULL AS TEXT) AS c2, CAST(NULL AS BIGINT) AS c3, CAST(NULL AS BIGINT) AS c4, CAST(NULL AS BIGINT) AS c5, CAST(NULL AS BIGINT) AS c6
FROM down
WHERE down.status = 'ready' UNION ALL SELECT 2 AS c0, down.id AS c1, down.claimed AS c2, CAST(NULL AS BIGINT) AS c3, CAST(NULL AS BIGINT) AS c4, CAST(NULL AS BIGINT) AS c5, CAST(NULL AS BIGINT) AS c6
FROM down
WHERE down.status = 'running' UNION ALL SELECT 3 AS c0, dependencies.step AS c1, dependencies.condition AS c2, dependencies.needs AS c3, CAST(NULL AS BIGINT) AS c4, CAST(NULL AS BIGINT) AS c5, CAST(NULL AS BIGINT) AS c6
FROM dependencies JOIN held ON held.id = dependencies.needs
WHERE (dependencies.condition NOT IN ('succeeded', 'finished')) UNION ALL SELECT 4 AS c0, counted.id AS c1, counted.status AS c2, counted.open_steps AS c3, counted.event_seq AS c4, counted.holds AS c5, CAST((SELECT alone.alone
FROM alone) AS INTEGER) AS c6
FROM counted;

-- GraphStatements.add_run(id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds)
INSERT INTO runs (id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds) VALUES ($1::BIGINT, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR, $10::BIGINT, $11::BIGINT, $12::BIGINT, $13::BIGINT, $14::BIGINT, $15::BIGINT, $16::BIGINT, $17::BIGINT, $18::BIGINT);

-- GraphStatements.add_run.together(rows)
INSERT INTO runs (id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds) SELECT input.id, input.run_id, input.package, input.entrypoint, input.name, input.status, input.input, input.metadata, input.tags, input.total_steps, input.open_steps, input.event_seq, input.parent_run, input.parent_step, input.created_at, input.started_at, input.ended_at, input.holds
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS TEXT) AS run_id, CAST(given.value ->> 2 AS TEXT) AS package, CAST(given.value ->> 3 AS TEXT) AS entrypoint, CAST(given.value ->> 4 AS TEXT) AS name, CAST(given.value ->> 5 AS TEXT) AS status, CAST(given.value ->> 6 AS TEXT) AS input, CAST(given.value ->> 7 AS TEXT) AS metadata, CAST(given.value ->> 8 AS TEXT) AS tags, CAST(given.value ->> 9 AS BIGINT) AS total_steps, CAST(given.value ->> 10 AS BIGINT) AS open_steps, CAST(given.value ->> 11 AS BIGINT) AS event_seq, CAST(given.value ->> 12 AS BIGINT) AS parent_run, CAST(given.value ->> 13 AS BIGINT) AS parent_step, CAST(given.value ->> 14 AS BIGINT) AS created_at, CAST(given.value ->> 15 AS BIGINT) AS started_at, CAST(given.value ->> 16 AS BIGINT) AS ended_at, CAST(given.value ->> 17 AS BIGINT) AS holds
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- GraphStatements.ancestors(key)
WITH RECURSIVE above(id, parent) AS
(SELECT steps.id AS id, steps.parent AS parent
FROM steps
WHERE steps.id = $1::BIGINT UNION ALL SELECT steps.id AS id, steps.parent AS parent
FROM steps, above
WHERE steps.id = above.parent)
 SELECT above.id
FROM above;

-- GraphStatements.bump_control()
UPDATE meta SET value=(meta.value + 1) WHERE meta.name = 'control';

-- GraphStatements.control()
SELECT meta.value
FROM meta
WHERE meta.name = 'control';

-- GraphStatements.descendants(keys)
WITH RECURSIVE below(id, status) AS
(SELECT steps.id AS id, steps.status AS status
FROM steps
WHERE steps.id IN (SELECT CAST(anon_2.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_2
 LIMIT $2::BIGINT) UNION SELECT steps.id AS id, steps.status AS status
FROM steps, below
WHERE steps.parent = below.id)
 SELECT below.id, below.status, EXISTS (SELECT *
FROM repeats
WHERE repeats.emitter = below.id) AS anon_1
FROM below;

-- GraphStatements.downstream(keys)
WITH RECURSIVE downstream(step) AS
(SELECT dependencies.step AS step
FROM dependencies
WHERE dependencies.needs IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) UNION SELECT dependencies.step AS step
FROM dependencies, downstream
WHERE dependencies.needs = downstream.step)
 SELECT downstream.step
FROM downstream;

-- GraphStatements.find(rows)
SELECT steps.run_key, steps.step_id, steps.id, steps.status
FROM steps, (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS TEXT) AS step_id
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input
WHERE steps.run_key = input.run_key AND steps.step_id = input.step_id;

-- GraphStatements.find_dedup(rows)
SELECT steps.run_key, steps.dedup_key, steps.id, steps.status, steps.step_id
FROM steps, (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS TEXT) AS dedup_key
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input
WHERE steps.run_key = input.run_key AND steps.dedup_key = input.dedup_key AND steps.dedup_key IS NOT NULL;

-- GraphStatements.lock_runs(keys)
SELECT runs.id
FROM runs
WHERE runs.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) ORDER BY runs.id FOR NO KEY UPDATE;

-- GraphStatements.parents(keys)
SELECT runs.parent_run
FROM runs
WHERE runs.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND runs.parent_run IS NOT NULL;

-- GraphStatements.reserve_graphs(runs, steps)
UPDATE meta SET value=(meta.value + CASE WHEN (meta.name = 'next_run') THEN $1 ELSE $2 END) WHERE meta.name IN ('next_run', 'next_step') RETURNING meta.name, meta.value;

-- GraphStatements.some_ids(run_key)
SELECT steps.step_id
FROM steps
WHERE steps.run_key = $1::BIGINT ORDER BY steps.id DESC
 LIMIT 2000;

-- GraphStatements.taken(run_ids)
SELECT runs.run_id
FROM runs
WHERE runs.run_id IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- HoldStatements.add_hold(count, run_key)
UPDATE runs SET holds=(runs.holds + $1::BIGINT) WHERE runs.id = $2::BIGINT;

-- HoldStatements.flag(held, step)
UPDATE steps SET held=$1::BIGINT WHERE steps.id = $2::BIGINT AND steps.held != $1::BIGINT RETURNING steps.id;

-- HoldStatements.freeze_run(now, run_key)
UPDATE steps SET status=CASE WHEN (steps.status = 'ready') THEN 'held' ELSE steps.status END, wake_at=NULL, wait_left=coalesce(steps.wait_left, steps.wake_at - $1::BIGINT) WHERE steps.run_key = $2::BIGINT AND (steps.status = 'ready' OR steps.status = 'waiting') RETURNING steps.status;

-- HoldStatements.freeze_step(now, step)
UPDATE steps SET status=CASE WHEN (steps.status = 'ready') THEN 'held' ELSE steps.status END, wake_at=NULL, wait_left=coalesce(steps.wait_left, steps.wake_at - $1::BIGINT) WHERE steps.id = $2::BIGINT AND (coalesce(steps.status, '') = 'ready' OR coalesce(steps.status, '') = 'waiting') RETURNING steps.status;

-- HoldStatements.pause(now, run_key)
UPDATE runs SET status='paused', holds=(runs.holds + 1), paused_at=$1::BIGINT WHERE runs.id = $2::BIGINT;

-- HoldStatements.resume(now, status, run_key)
UPDATE runs SET status=$1::VARCHAR, holds=(runs.holds - 1), timeout_from=CASE WHEN (runs.timeout IS NOT NULL) THEN coalesce(runs.timeout_from, runs.started_at) + ($2 - coalesce(runs.paused_at, $2)) END, paused_at=NULL WHERE runs.id = $3::BIGINT;

-- HoldStatements.unhold_run(now, run_key)
UPDATE steps SET status=CASE WHEN (steps.status = 'held') THEN 'ready' ELSE steps.status END, wake_at=coalesce($1 + steps.wait_left, steps.wake_at), wait_left=NULL WHERE steps.held = 0 AND steps.run_key = $2::BIGINT AND (steps.status = 'held' OR steps.status = 'waiting') RETURNING steps.status;

-- HoldStatements.unhold_step(now, step)
UPDATE steps SET status=CASE WHEN (steps.status = 'held') THEN 'ready' ELSE steps.status END, wake_at=coalesce($1 + steps.wait_left, steps.wake_at), wait_left=NULL WHERE steps.held = 0 AND steps.id = $2::BIGINT AND (coalesce(steps.status, '') = 'held' OR coalesce(steps.status, '') = 'waiting') RETURNING steps.status;

-- HoldStatements.was_started(run_key)
SELECT runs.started_at IS NOT NULL AS anon_1
FROM runs
WHERE runs.id = $1::BIGINT;

-- KeyValueStatements.forget_old(before)
DELETE FROM kv WHERE kv.key IN (SELECT kv.key
FROM kv
WHERE kv.expires_at < $1::BIGINT ORDER BY kv.expires_at
 LIMIT 100 FOR UPDATE SKIP LOCKED);

-- KeyValueStatements.get(key, now)
SELECT kv.key, kv.value, kv.version, kv.expires_at, kv.updated_at
FROM kv
WHERE kv.key = $1::VARCHAR AND (kv.expires_at IS NULL OR kv.expires_at > $2::BIGINT AND kv.expires_at > kv.updated_at);

-- KeyValueStatements.list(after, prefix, now, limit, end)
SELECT kv.key, kv.value, kv.version, kv.expires_at, kv.updated_at
FROM kv
WHERE kv.key > $1::VARCHAR AND kv.key >= $2::VARCHAR AND (kv.expires_at IS NULL OR kv.expires_at > $3::BIGINT AND kv.expires_at > kv.updated_at) AND kv.key < $4::VARCHAR ORDER BY kv.key
 LIMIT $5;

-- KeyValueStatements.list_from(after, prefix, now, limit)
SELECT kv.key, kv.value, kv.version, kv.expires_at, kv.updated_at
FROM kv
WHERE kv.key > $1::VARCHAR AND kv.key >= $2::VARCHAR AND (kv.expires_at IS NULL OR kv.expires_at > $3::BIGINT AND kv.expires_at > kv.updated_at) ORDER BY kv.key
 LIMIT $4;

-- KeyValueStatements.put(key, value, expires, now)
INSERT INTO kv (key, value, version, expires_at, updated_at) VALUES ($1::VARCHAR, $2::VARCHAR, 1, $3::BIGINT, $4::BIGINT) ON CONFLICT (key) DO UPDATE SET value = $2::VARCHAR, version = (kv.version + 1), expires_at = $3::BIGINT, updated_at = $4::BIGINT RETURNING kv.version;

-- KeyValueStatements.put_new(key, value, expires, now)
INSERT INTO kv (key, value, version, expires_at, updated_at) VALUES ($1::VARCHAR, $2::VARCHAR, 1, $3::BIGINT, $4::BIGINT) ON CONFLICT (key) DO UPDATE SET value = $2::VARCHAR, version = (kv.version + 1), expires_at = $3::BIGINT, updated_at = $4::BIGINT WHERE kv.expires_at <= $4::BIGINT OR kv.expires_at <= kv.updated_at RETURNING kv.version;

-- KeyValueStatements.put_over(key, value, expires, now, version)
UPDATE kv SET value=$1::VARCHAR, version=(kv.version + 1), expires_at=$2::BIGINT, updated_at=$3::BIGINT WHERE kv.key = $4::VARCHAR AND (kv.expires_at IS NULL OR kv.expires_at > $3::BIGINT AND kv.expires_at > kv.updated_at) AND kv.version = $5::BIGINT RETURNING kv.version;

-- KeyValueStatements.remove(key, now)
UPDATE kv SET value='null', version=(kv.version + 1), expires_at=$1::BIGINT, updated_at=$1::BIGINT WHERE kv.key = $2::VARCHAR AND (kv.expires_at IS NULL OR kv.expires_at > $1::BIGINT AND kv.expires_at > kv.updated_at) RETURNING kv.version;

-- KeyValueStatements.remove_version(key, now, version)
UPDATE kv SET value='null', version=(kv.version + 1), expires_at=$1::BIGINT, updated_at=$1::BIGINT WHERE kv.key = $2::VARCHAR AND (kv.expires_at IS NULL OR kv.expires_at > $1::BIGINT AND kv.expires_at > kv.updated_at) AND kv.version = $3::BIGINT RETURNING kv.version;

-- LeaseStatements.anything_due(now)
SELECT (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'running' AND steps.expires_at <= $1::BIGINT)) OR (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'waiting' AND steps.wake_at <= $1::BIGINT)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running' AND coalesce(runs.timeout_from, runs.started_at) + runs.timeout <= $1::BIGINT)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL AND runs.deadline <= $1::BIGINT)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL AND runs.start_by <= $1::BIGINT)) AS anon_1;

-- LeaseStatements.find_due(now, most)
SELECT steps.id, steps.run_key, steps.wait_for
FROM steps
WHERE steps.status = 'waiting' AND steps.wake_at <= $1::BIGINT ORDER BY steps.wake_at
 LIMIT $2;

-- LeaseStatements.held(key, token)
SELECT steps.id
FROM steps
WHERE steps.id = $1::BIGINT AND steps.token = $2::BIGINT AND steps.status = 'running' FOR UPDATE;

-- LeaseStatements.lapse(now, runs)
UPDATE steps SET status='ready', ready_at=$1::BIGINT, lost_leases=(steps.lost_leases + 1), expires_at=NULL WHERE steps.status = 'running' AND steps.expires_at <= $1::BIGINT AND coalesce(steps.run_key, 0) IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) RETURNING steps.id, steps.run_key, steps.attempt, steps.lost_leases, steps.worker;

-- LeaseStatements.lapsed_runs(now)
SELECT DISTINCT steps.run_key
FROM steps
WHERE steps.status = 'running' AND steps.expires_at <= $1::BIGINT;

-- LeaseStatements.lose(now, before, after, most, runs)
UPDATE steps SET status='failed', lost_leases=(steps.lost_leases + 1), expires_at=NULL, error=($1 || CAST(steps.lost_leases + 1 AS TEXT) || $2::VARCHAR), ended_at=$3::BIGINT WHERE steps.status = 'running' AND steps.expires_at <= $3::BIGINT AND coalesce(steps.run_key, 0) IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($4 AS JSONB)) AS anon_1
 LIMIT $5::BIGINT) AND steps.lost_leases + 1 >= coalesce(steps.max_recoveries + 1, $6) RETURNING steps.id, steps.run_key, steps.attempt, steps.lost_leases, steps.worker;

-- LeaseStatements.next_due(after)
SELECT (SELECT min(steps.expires_at) AS min_1
FROM steps
WHERE steps.status = 'running') AS anon_1, (SELECT min(steps.wake_at) AS min_2
FROM steps
WHERE steps.status = 'waiting' AND steps.wake_at IS NOT NULL) AS anon_2, (SELECT min(steps.ready_at) AS min_3
FROM steps
WHERE steps.status = 'ready' AND steps.ready_at > $1::BIGINT) AS anon_3, (SELECT min(coalesce(runs.timeout_from, runs.started_at) + runs.timeout) AS min_4
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running') AS anon_4, (SELECT min(runs.deadline) AS min_5
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL) AS anon_5, (SELECT min(runs.start_by) AS min_6
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL) AS anon_6;

-- LeaseStatements.release_others(worker, keep)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), expires_at=NULL WHERE steps.status = 'running' AND steps.worker = $1::VARCHAR AND (steps.id NOT IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT)) RETURNING steps.id, steps.run_key, steps.attempt;

-- LeaseStatements.renew(until, worker, rows)
WITH free AS MATERIALIZED
(SELECT steps.id AS id
FROM steps, (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input
WHERE steps.id = input.id AND steps.token = input.token AND steps.worker = $4::VARCHAR AND steps.status = 'running' FOR UPDATE OF steps SKIP LOCKED)
 UPDATE steps SET expires_at=$1::BIGINT FROM free WHERE steps.id = free.id RETURNING steps.id, steps.token;

-- LeaseStatements.renew_waiting(until, worker, rows)
UPDATE steps SET expires_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND steps.worker = $4::VARCHAR AND steps.status = 'running' RETURNING steps.id, steps.token;

-- LeaseStatements.runs_held(worker)
SELECT DISTINCT steps.run_key
FROM steps
WHERE steps.status = 'running' AND steps.worker = $1::VARCHAR;

-- LeaseStatements.status_of(keys)
SELECT steps.id, steps.status, steps.token
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- LeaseStatements.wake(now, keys)
UPDATE steps SET status='ready', ready_at=$1::BIGINT, wait_for=NULL WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) AND coalesce(steps.status, '') = 'waiting' AND steps.wake_at <= $1::BIGINT RETURNING steps.id, steps.run_key, steps.attempt;

-- LimitStatements.any_over(now)
SELECT (EXISTS (SELECT *
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running' AND coalesce(runs.timeout_from, runs.started_at) + runs.timeout <= $1::BIGINT)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL AND runs.deadline <= $1::BIGINT)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL AND runs.start_by <= $1::BIGINT)) AS anon_1;

-- LimitStatements.find_over(now)
SELECT "over".id, "over"."limit", "over".at
FROM (SELECT anon_1.id AS id, anon_1."limit" AS "limit", anon_1.at AS at
FROM (SELECT runs.id AS id, 'timeout' AS "limit", coalesce(runs.timeout_from, runs.started_at) + runs.timeout AS at
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running' AND coalesce(runs.timeout_from, runs.started_at) + runs.timeout <= $1::BIGINT ORDER BY coalesce(runs.timeout_from, runs.started_at) + runs.timeout
 LIMIT 1) AS anon_1 UNION ALL SELECT anon_2.id AS id, anon_2."limit" AS "limit", anon_2.at AS at
FROM (SELECT runs.id AS id, 'deadline' AS "limit", runs.deadline AS at
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL AND runs.deadline <= $1::BIGINT ORDER BY runs.deadline
 LIMIT 1) AS anon_2 UNION ALL SELECT anon_3.id AS id, anon_3."limit" AS "limit", anon_3.at AS at
FROM (SELECT runs.id AS id, 'start_by' AS "limit", runs.start_by AS at
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL AND runs.start_by <= $1::BIGINT ORDER BY runs.start_by
 LIMIT 1) AS anon_3) AS "over" ORDER BY "over".at, "over".id
 LIMIT 1;

-- LimitStatements.set_error(error, run_key)
UPDATE runs SET error=$1::VARCHAR WHERE runs.id = $2::BIGINT;

-- MailboxStatements.asking(run_key, prefix)
SELECT steps.id, steps.step_id, steps.wait_for, steps.wake_at
FROM steps
WHERE steps.run_key = $1::BIGINT AND steps.status = 'waiting' AND substr(steps.wait_for, 1, length($2)) = $2 UNION ALL SELECT steps.id, steps.step_id, waits.name, CASE WHEN (steps.wait_for = 'any') THEN steps.wake_at END AS anon_1
FROM waits JOIN steps ON steps.id = waits.step
WHERE steps.run_key = $1::BIGINT AND steps.status = 'waiting' AND substr(waits.name, 1, length($2)) = $2 ORDER BY 1;

-- MailboxStatements.decided(run_key, prefix)
SELECT messages.payload
FROM messages
WHERE messages.run_key = $1::BIGINT AND substr(messages.key, 1, length($2)) = $2 ORDER BY messages.id DESC
 LIMIT 1;

-- MailboxStatements.of_run(run_key)
SELECT messages.id, messages.topic, messages.payload, messages.key, messages.sender, steps.step_id, messages.created_at, messages.operation
FROM messages LEFT OUTER JOIN steps ON steps.id = messages.receiver
WHERE messages.run_key = $1::BIGINT ORDER BY messages.id;

-- MailboxStatements.of_topic(run_key, topic)
SELECT messages.id, messages.topic, messages.payload, messages.key, messages.sender, steps.step_id, messages.created_at, messages.operation
FROM messages LEFT OUTER JOIN steps ON steps.id = messages.receiver
WHERE messages.run_key = $1::BIGINT AND messages.topic = $2::VARCHAR ORDER BY messages.id;

-- MailboxStatements.step_asking(run_key, prefix, step)
SELECT steps.id, steps.step_id, steps.wait_for, steps.wake_at
FROM steps
WHERE steps.run_key = $1::BIGINT AND steps.status = 'waiting' AND substr(steps.wait_for, 1, length($2)) = $2 AND steps.id = $3::BIGINT UNION ALL SELECT steps.id, steps.step_id, waits.name, CASE WHEN (steps.wait_for = 'any') THEN steps.wake_at END AS anon_1
FROM waits JOIN steps ON steps.id = waits.step
WHERE steps.run_key = $1::BIGINT AND steps.status = 'waiting' AND substr(waits.name, 1, length($2)) = $2 AND steps.id = $3::BIGINT ORDER BY 1;

-- MailboxStatements.unreceived(ids)
SELECT messages.id, messages.topic
FROM messages
WHERE messages.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND messages.receiver IS NULL;

-- MessageStatements.add(run_key, topic, payload, key, sender, created_at)
INSERT INTO messages (run_key, topic, payload, key, sender, created_at) VALUES ($1::BIGINT, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::BIGINT) RETURNING messages.id;

-- MessageStatements.add.together(rows)
INSERT INTO messages (run_key, topic, payload, key, sender, created_at) SELECT input.run_key, input.topic, input.payload, input.key, input.sender, input.created_at
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS TEXT) AS topic, CAST(given.value ->> 2 AS TEXT) AS payload, CAST(given.value ->> 3 AS TEXT) AS key, CAST(given.value ->> 4 AS TEXT) AS sender, CAST(given.value ->> 5 AS BIGINT) AS created_at
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- MessageStatements.arrived(rows)
SELECT input.step
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS step, CAST(given.value ->> 1 AS BIGINT) AS run_key, CAST(given.value ->> 2 AS TEXT) AS topic, CAST(given.value ->> 3 AS TEXT) AS operation
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input, messages
WHERE messages.run_key = input.run_key AND messages.topic = input.topic AND messages.receiver IS NULL UNION SELECT input.step
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS step, CAST(given.value ->> 1 AS BIGINT) AS run_key, CAST(given.value ->> 2 AS TEXT) AS topic, CAST(given.value ->> 3 AS TEXT) AS operation
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input, messages
WHERE messages.receiver = input.step AND messages.operation = input.operation AND messages.receiver IS NOT NULL;

-- MessageStatements.first(run_key, topic)
SELECT messages.id, messages.payload
FROM messages
WHERE messages.run_key = $1::BIGINT AND messages.topic = $2::VARCHAR AND messages.receiver IS NULL ORDER BY messages.id
 LIMIT 1;

-- MessageStatements.given(step, operation)
SELECT messages.payload, messages.id
FROM messages
WHERE messages.receiver = $1::BIGINT AND messages.operation = $2::VARCHAR AND messages.receiver IS NOT NULL;

-- MessageStatements.known_keys(rows)
SELECT messages.run_key, messages.key
FROM messages, (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS TEXT) AS key
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input
WHERE messages.run_key = input.run_key AND messages.key = input.key AND messages.key IS NOT NULL;

-- MessageStatements.published(rows)
SELECT DISTINCT input.step
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS step, CAST(given.value ->> 1 AS TEXT) AS run_id, CAST(given.value ->> 2 AS TEXT) AS key
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input, runs, values
WHERE runs.run_id = input.run_id AND values.run_key = runs.id AND values.key = input.key;

-- MessageStatements.refuse(refused, id, step, operation)
UPDATE messages SET operation=$1::VARCHAR WHERE messages.id = $2::BIGINT AND messages.receiver = $3::BIGINT AND messages.operation = $4::VARCHAR;

-- MessageStatements.runs_named(names)
SELECT runs.run_id, runs.id, runs.status
FROM runs
WHERE runs.run_id IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- MessageStatements.take(step, operation, id)
UPDATE messages SET receiver=$1::BIGINT, operation=$2::VARCHAR WHERE messages.id = $3::BIGINT;

-- OperatorStatements.caught(keys)
SELECT dependencies.needs
FROM dependencies
WHERE dependencies.needs IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND dependencies.condition = 'failed';

-- OperatorStatements.edges_into(keys)
SELECT dependencies.step, dependencies.condition, dependencies.needs, target.status
FROM dependencies JOIN steps AS target ON target.id = dependencies.needs
WHERE dependencies.step IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- OperatorStatements.open_dependents(keys)
SELECT DISTINCT steps.id
FROM dependencies JOIN steps ON steps.id = dependencies.step
WHERE dependencies.needs IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND steps.status IN ('held', 'pending', 'ready');

-- OperatorStatements.recount(now, rows)
UPDATE steps SET status=CASE WHEN (input.pending > 0) THEN 'pending' WHEN (steps.status = 'pending') THEN 'ready' ELSE steps.status END, ready_at=CASE WHEN (steps.status = 'pending') THEN $1 ELSE steps.ready_at END, pending=input.pending FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS pending
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id;

-- OperatorStatements.recount_holds(run_key)
UPDATE runs SET holds=((SELECT count(*) AS count_1
FROM steps
WHERE steps.run_key = $1::BIGINT AND steps.held = 1) + CASE WHEN (runs.status = 'paused') THEN 1 ELSE 0 END) WHERE runs.id = $1::BIGINT;

-- OperatorStatements.reopen(keys)
UPDATE steps SET status='pending', failures=0, lost_leases=0, error=NULL, cause=NULL, wait=NULL, wait_for=NULL, wake_at=NULL, ended_at=NULL, wait_left=NULL, held=0 WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND coalesce(steps.status, '') IN ('canceled', 'failed', 'skipped');

-- OperatorStatements.reopen_run(now, run_key)
UPDATE runs SET status=CASE WHEN (runs.started_at IS NULL) THEN 'pending' ELSE 'running' END, ended_at=NULL, start_by=NULL, timeout_from=CASE WHEN (runs.started_at IS NOT NULL) THEN $1::BIGINT END, paused_at=NULL, error_step=NULL, error=NULL WHERE runs.id = $2::BIGINT AND runs.status IN ('canceled', 'failed', 'succeeded');

-- OperatorStatements.reopened(run_key)
SELECT runs.package, runs.dedup_key, runs.deadline
FROM runs
WHERE runs.id = $1::BIGINT;

-- OperatorStatements.set_anew(deadline, dedup_key, run_key)
UPDATE runs SET dedup_key=$1::VARCHAR, deadline=$2::BIGINT WHERE runs.id = $3::BIGINT;

-- OperatorStatements.unsuccessful(run_key)
SELECT steps.id, steps.step_id, steps.status, steps.error, steps.cause
FROM steps
WHERE steps.run_key = $1::BIGINT AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped');

-- OptionStatements.drop_holds(count, run_key)
UPDATE runs SET holds=(runs.holds - $1::BIGINT) WHERE runs.id = $2::BIGINT;

-- OptionStatements.drop_steps(run_key)
DELETE FROM steps WHERE steps.run_key = $1::BIGINT RETURNING steps.held;

-- OptionStatements.drop_told(run_key)
UPDATE events SET step=NULL WHERE events.run_key = $1::BIGINT AND events.step IS NOT NULL;

-- OptionStatements.holder(package, dedup_key, now)
SELECT runs.id, runs.run_id
FROM runs
WHERE runs.package = $1::VARCHAR AND runs.dedup_key = $2::VARCHAR AND runs.dedup_key IS NOT NULL AND (runs.ended_at IS NULL OR runs.dedup_for IS NOT NULL) AND (runs.ended_at IS NULL OR runs.status = 'succeeded' AND runs.ended_at + runs.dedup_for > $3::BIGINT) ORDER BY runs.id
 LIMIT 2;

-- OptionStatements.replace(entrypoint, name, input, metadata, tags, queue, priority, partition_key, version, summary, dedup_key, dedup_for, start_at, start_by, timeout, deadline, id)
UPDATE runs SET entrypoint=$1::VARCHAR, name=$2::VARCHAR, input=$3::VARCHAR, metadata=$4::VARCHAR, tags=$5::VARCHAR, queue=$6::VARCHAR, priority=$7::BIGINT, partition_key=$8::VARCHAR, version=$9::VARCHAR, summary=$10::VARCHAR, dedup_key=$11::VARCHAR, dedup_for=$12::BIGINT, replaced=(coalesce(runs.replaced, 0) + 1), start_at=$13::BIGINT, start_by=$14::BIGINT, timeout=$15::BIGINT, deadline=$16::BIGINT WHERE runs.id = $17::BIGINT;

-- OptionStatements.set_options(queue, priority, partition_key, version, summary, dedup_key, dedup_for, start_at, start_by, timeout, deadline, id)
UPDATE runs SET queue=$1::VARCHAR, priority=$2::BIGINT, partition_key=$3::VARCHAR, version=$4::VARCHAR, summary=$5::VARCHAR, dedup_key=$6::VARCHAR, dedup_for=$7::BIGINT, start_at=$8::BIGINT, start_by=$9::BIGINT, timeout=$10::BIGINT, deadline=$11::BIGINT WHERE runs.id = $12::BIGINT;

-- OptionStatements.waiting(package, dedup_key)
SELECT runs.id, runs.run_id, runs.created_at
FROM runs
WHERE runs.package = $1::VARCHAR AND runs.dedup_key = $2::VARCHAR AND runs.dedup_key IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL;

-- QueueStatements.all()
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues ORDER BY queues.name;

-- QueueStatements.any_ready(queue)
SELECT steps.id
FROM steps
WHERE steps.status = 'ready' AND steps.queue = $1::VARCHAR
 LIMIT 1;

-- QueueStatements.define(name, max_in_flight, rate_limit, rate_period, burst, tokens, refilled_at, max_per_worker, labels)
INSERT INTO queues (name, max_in_flight, rate_limit, rate_period, burst, tokens, refilled_at, max_per_worker, labels) VALUES ($1::VARCHAR, $2::BIGINT, $3, $4::BIGINT, $5::BIGINT, $6, $7::BIGINT, $8::BIGINT, $9::VARCHAR) ON CONFLICT (name) DO UPDATE SET max_in_flight = excluded.max_in_flight, rate_limit = excluded.rate_limit, rate_period = excluded.rate_period, burst = excluded.burst, tokens = excluded.tokens, refilled_at = excluded.refilled_at, max_per_worker = excluded.max_per_worker, labels = excluded.labels;

-- QueueStatements.last_start()
SELECT coalesce(max(steps.started_at), 0) AS coalesce_1
FROM steps
WHERE steps.status = 'running';

-- QueueStatements.lock(names, kinds)
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues
WHERE queues.name IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = queues.name AND steps.kind IN (SELECT anon_2.value
FROM jsonb_array_elements_text(CAST($3 AS JSONB)) AS anon_2
 LIMIT $2::BIGINT))) ORDER BY queues.name FOR UPDATE;

-- QueueStatements.put_meta(name, value)
INSERT INTO meta (name, value) VALUES ($1::VARCHAR, $2::BIGINT) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- QueueStatements.ready(queue)
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'ready' AND steps.queue = $1::VARCHAR;

-- QueueStatements.running(queue)
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'running' AND steps.queue = $1::VARCHAR;

-- QueueStatements.running_here(queue, worker)
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'running' AND steps.queue = $1::VARCHAR AND steps.worker = $2::VARCHAR;

-- QueueStatements.spend(tokens, now, name)
UPDATE queues SET tokens=$1, refilled_at=$2::BIGINT WHERE queues.name = $3::VARCHAR;

-- QueueStatements.try_lock(names, kinds)
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues
WHERE queues.name IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = queues.name AND steps.kind IN (SELECT anon_2.value
FROM jsonb_array_elements_text(CAST($3 AS JSONB)) AS anon_2
 LIMIT $2::BIGINT))) ORDER BY queues.name FOR UPDATE SKIP LOCKED;

-- QueueStatements.wanted(names, kinds)
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues
WHERE queues.name IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = queues.name AND steps.kind IN (SELECT anon_2.value
FROM jsonb_array_elements_text(CAST($3 AS JSONB)) AS anon_2
 LIMIT $2::BIGINT))) ORDER BY queues.name;

-- ReadStatements.artifact(artifact_id)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at, artifacts.body
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.artifact_id = $1::VARCHAR;

-- ReadStatements.collections(package)
SELECT records.collection, count(*) AS count_1
FROM records
WHERE records.package = $1::VARCHAR GROUP BY records.collection ORDER BY records.collection;

-- ReadStatements.count_dependencies(keys)
SELECT dependencies.step, count(*) AS count_1
FROM dependencies
WHERE dependencies.step IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) GROUP BY dependencies.step;

-- ReadStatements.dependency_values(key)
SELECT steps.step_id, steps.kind, steps.status, results.value
FROM dependencies JOIN steps ON steps.id = dependencies.needs LEFT OUTER JOIN results ON results.step = steps.id
WHERE dependencies.step = $1::BIGINT ORDER BY steps.id;

-- ReadStatements.edges(run_key)
SELECT steps.step_id, target.step_id AS step_id_1, dependencies.condition, dependencies.subtree
FROM dependencies JOIN steps ON steps.id = dependencies.step JOIN steps AS target ON target.id = dependencies.needs
WHERE steps.run_key = $1::BIGINT ORDER BY dependencies.step, dependencies.needs;

-- ReadStatements.emitted(key)
SELECT steps.step_id
FROM steps
WHERE steps.parent = $1::BIGINT AND steps.parent IS NOT NULL ORDER BY steps.id;

-- ReadStatements.events(key, after, most)
SELECT events.seq, events.type, events.at, steps.step_id, events.attempt, events.worker, events.data
FROM events LEFT OUTER JOIN steps ON steps.id = events.step
WHERE events.run_key = $1::BIGINT AND events.seq > $2::BIGINT ORDER BY events.seq
 LIMIT $3;

-- ReadStatements.last_event(key, type)
SELECT events.seq, events.type, events.at, steps.step_id, events.attempt, events.worker, events.data
FROM events LEFT OUTER JOIN steps ON steps.id = events.step
WHERE events.run_key = $1::BIGINT AND events.type = $2::VARCHAR ORDER BY events.seq DESC
 LIMIT 1;

-- ReadStatements.last_event_of(key, type, step)
SELECT events.seq, events.type, events.at, steps.step_id, events.attempt, events.worker, events.data
FROM events LEFT OUTER JOIN steps ON steps.id = events.step
WHERE events.run_key = $1::BIGINT AND events.type = $2::VARCHAR AND events.step = $3::BIGINT ORDER BY events.seq DESC
 LIMIT 1;

-- ReadStatements.many_values(keys)
SELECT dependencies.step, steps.step_id, steps.kind, steps.status, results.value
FROM dependencies JOIN steps ON steps.id = dependencies.needs LEFT OUTER JOIN results ON results.step = steps.id
WHERE dependencies.step IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) ORDER BY steps.id;

-- ReadStatements.meta()
SELECT meta.name, meta.value
FROM meta;

-- ReadStatements.open_steps()
SELECT coalesce(sum(runs.open_steps), 0) AS coalesce_1
FROM runs
WHERE runs.status IN ('paused', 'pending', 'running');

-- ReadStatements.recent_runs()
SELECT runs.run_id
FROM runs ORDER BY runs.id DESC
 LIMIT 500;

-- ReadStatements.record(package, collection, key)
SELECT records.key, records.value, coalesce(runs.run_id, '') AS coalesce_1, coalesce(steps.step_id, '') AS coalesce_2, records.updated_at
FROM records LEFT OUTER JOIN steps ON steps.id = records.step LEFT OUTER JOIN runs ON runs.id = steps.run_key
WHERE records.package = $1::VARCHAR AND records.collection = $2::VARCHAR AND records.key = $3::VARCHAR;

-- ReadStatements.records(package, collection)
SELECT records.key, records.value, coalesce(runs.run_id, '') AS coalesce_1, coalesce(steps.step_id, '') AS coalesce_2, records.updated_at
FROM records LEFT OUTER JOIN steps ON steps.id = records.step LEFT OUTER JOIN runs ON runs.id = steps.run_key
WHERE records.package = $1::VARCHAR AND records.collection = $2::VARCHAR ORDER BY records.key;

-- ReadStatements.result(key)
SELECT steps.status, steps.error, steps.ended_at, results.value, results.records
FROM steps LEFT OUTER JOIN results ON results.step = steps.id
WHERE steps.id = $1::BIGINT;

-- ReadStatements.result_and_more(run_id, step_id)
SELECT steps.status, steps.error, steps.ended_at, results.value, results.records, EXISTS (SELECT *
FROM artifacts
WHERE artifacts.step = steps.id) AS anon_1, EXISTS (SELECT *
FROM steps AS children
WHERE children.parent = steps.id AND children.parent IS NOT NULL) AS anon_2
FROM steps LEFT OUTER JOIN results ON results.step = steps.id JOIN runs ON runs.id = steps.run_key
WHERE runs.run_id = $1::VARCHAR AND steps.step_id = $2::VARCHAR;

-- ReadStatements.run(run_id)
SELECT runs.run_id, runs.package, runs.entrypoint, runs.name, runs.status, runs.input, runs.metadata, runs.tags, runs.total_steps, runs.open_steps, runs.created_at, runs.started_at, runs.ended_at, (SELECT parent_run.run_id
FROM runs AS parent_run
WHERE parent_run.id = runs.parent_run) AS anon_1, (SELECT parent_step.step_id
FROM steps AS parent_step
WHERE parent_step.id = runs.parent_step) AS anon_2, runs.queue, runs.priority, runs.partition_key, runs.version, runs.summary, runs.dedup_key, runs.dedup_for, runs.replaced, runs.start_at, runs.start_by, runs.timeout, runs.deadline, runs.error, (SELECT failed_step.step_id
FROM steps AS failed_step
WHERE failed_step.id = runs.error_step) AS anon_3, (SELECT failed_step.error
FROM steps AS failed_step
WHERE failed_step.id = runs.error_step) AS anon_4
FROM runs
WHERE runs.run_id = $1::VARCHAR;

-- ReadStatements.run_artifacts(key)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.run_key = $1::BIGINT ORDER BY artifacts.id;

-- ReadStatements.run_counts(key)
SELECT runs.total_steps, runs.open_steps
FROM runs
WHERE runs.id = $1::BIGINT;

-- ReadStatements.run_key(run_id)
SELECT runs.id, runs.status
FROM runs
WHERE runs.run_id = $1::VARCHAR;

-- ReadStatements.run_names(keys)
SELECT runs.id, runs.run_id
FROM runs
WHERE runs.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- ReadStatements.running()
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'running';

-- ReadStatements.running_steps(key)
SELECT steps.step_id
FROM steps
WHERE steps.status = 'running' AND steps.run_key + 0 = $1::BIGINT ORDER BY steps.started_at, steps.id
 LIMIT 1000;

-- ReadStatements.runs_by_status()
SELECT runs.status, count(*) AS count_1
FROM runs GROUP BY runs.status;

-- ReadStatements.some_steps(run_key)
SELECT steps.step_id
FROM steps
WHERE steps.run_key = $1::BIGINT ORDER BY steps.id DESC
 LIMIT 2000;

-- ReadStatements.statuses(run_ids)
SELECT runs.run_id, runs.status
FROM runs
WHERE runs.run_id IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- ReadStatements.step(key)
SELECT steps.step_id, runs.run_id, steps.kind, steps.queue, steps.status, steps.priority, steps.input, steps.metadata, steps.attempt, steps.failures, steps.max_attempts, steps.pending, steps.dedup_key, coalesce(steps.site, runs.package) AS coalesce_1, (SELECT parent_step.step_id
FROM steps AS parent_step
WHERE parent_step.id = steps.parent) AS anon_1, steps.allow_failure, steps.timeout, steps.worker, steps.error, steps.created_at, steps.ready_at, steps.started_at, steps.ended_at, steps.wait, steps.wake_at, steps.wait_left, steps.held
FROM steps JOIN runs ON runs.id = steps.run_key
WHERE steps.id = $1::BIGINT;

-- ReadStatements.step_artifacts(key)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.step = $1::BIGINT ORDER BY artifacts.id;

-- ReadStatements.step_key(run_key, step_id)
SELECT steps.id, steps.step_id, steps.status, steps.error
FROM steps
WHERE steps.run_key = $1::BIGINT AND steps.step_id = $2::VARCHAR;

-- ReadStatements.step_names(keys)
SELECT steps.id, steps.step_id
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- ReadStatements.stored_artifacts(after, most)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.uri IS NOT NULL AND artifacts.artifact_id > $1::VARCHAR ORDER BY artifacts.artifact_id
 LIMIT $2;

-- ReadStatements.unsuccessful_counts(key)
SELECT steps.status, count(*) AS count_1
FROM steps
WHERE steps.run_key = $1::BIGINT AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') GROUP BY steps.status;

-- ReadStatements.workers()
SELECT workers.id, workers.host, workers.pid, workers.version, workers.queues, workers.started_at, workers.seen_at, workers.kinds, workers.labels
FROM workers ORDER BY workers.id;

-- RepeatStatements.add(emitter, step)
INSERT INTO repeats (emitter, step) VALUES ($1::BIGINT, $2::BIGINT);

-- RepeatStatements.add.together(rows)
INSERT INTO repeats (emitter, step) SELECT input.emitter, input.step
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS emitter, CAST(given.value ->> 1 AS BIGINT) AS step
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- RepeatStatements.edges(keys, step)
SELECT dependencies.needs, dependencies.subtree
FROM dependencies
WHERE dependencies.needs IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND dependencies.step = $3::BIGINT;

-- RepeatStatements.of(keys)
SELECT repeats.step
FROM repeats
WHERE repeats.emitter IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- RepeatStatements.widen(keys, step)
UPDATE dependencies SET subtree=1 WHERE dependencies.needs IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND dependencies.step = $3::BIGINT;

-- SettleStatements.add_artifacts(artifact_id, run_key, step, name, kind, content_type, metadata, size, sha256, uri, body, created_at)
INSERT INTO artifacts (artifact_id, run_key, step, name, kind, content_type, metadata, size, sha256, uri, body, created_at) VALUES ($1::VARCHAR, $2::BIGINT, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::BIGINT, $9::VARCHAR, $10::VARCHAR, $11, $12::BIGINT) RETURNING artifacts.id;

-- SettleStatements.add_artifacts.several(artifact_id_0, run_key_0, step_0, name_0, kind_0, content_type_0, metadata_0, size_0, sha256_0, uri_0, body_0, created_at_0, artifact_id_1, run_key_1, step_1, name_1, kind_1, content_type_1, metadata_1, size_1, sha256_1, uri_1, body_1, created_at_1, artifact_id_2, run_key_2, step_2, name_2, kind_2, content_type_2, metadata_2, size_2, sha256_2, uri_2, body_2, created_at_2, artifact_id_3, run_key_3, step_3, name_3, kind_3, content_type_3, metadata_3, size_3, sha256_3, uri_3, body_3, created_at_3, artifact_id_4, run_key_4, step_4, name_4, kind_4, content_type_4, metadata_4, size_4, sha256_4, uri_4, body_4, created_at_4, artifact_id_5, run_key_5, step_5, name_5, kind_5, content_type_5, metadata_5, size_5, sha256_5, uri_5, body_5, created_at_5, artifact_id_6, run_key_6, step_6, name_6, kind_6, content_type_6, metadata_6, size_6, sha256_6, uri_6, body_6, created_at_6, artifact_id_7, run_key_7, step_7, name_7, kind_7, content_type_7, metadata_7, size_7, sha256_7, uri_7, body_7, created_at_7)
INSERT INTO artifacts (artifact_id, run_key, step, name, kind, content_type, metadata, size, sha256, uri, body, created_at) VALUES ($1::VARCHAR, $2::BIGINT, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::BIGINT, $9::VARCHAR, $10::VARCHAR, $11, $12::BIGINT), ($13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24), ($25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36), ($37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48), ($49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60), ($61, $62, $63, $64, $65, $66, $67, $68, $69, $70, $71, $72), ($73, $74, $75, $76, $77, $78, $79, $80, $81, $82, $83, $84), ($85, $86, $87, $88, $89, $90, $91, $92, $93, $94, $95, $96);

-- SettleStatements.add_edges(needs, step, condition, subtree)
INSERT INTO dependencies (needs, step, condition, subtree) VALUES ($1::BIGINT, $2::BIGINT, $3::VARCHAR, $4::BIGINT);

-- SettleStatements.add_edges.together(rows)
INSERT INTO dependencies (needs, step, condition, subtree) SELECT input.needs, input.step, input.condition, input.subtree
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS needs, CAST(given.value ->> 1 AS BIGINT) AS step, CAST(given.value ->> 2 AS TEXT) AS condition, CAST(given.value ->> 3 AS BIGINT) AS subtree
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- SettleStatements.add_results(step, value, records, committed_at)
INSERT INTO results (step, value, records, committed_at) VALUES ($1::BIGINT, $2::VARCHAR, $3::VARCHAR, $4::BIGINT);

-- SettleStatements.add_results.together(rows)
INSERT INTO results (step, value, records, committed_at) SELECT input.step, input.value, input.records, input.committed_at
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS step, CAST(given.value ->> 1 AS TEXT) AS value, CAST(given.value ->> 2 AS TEXT) AS records, CAST(given.value ->> 3 AS BIGINT) AS committed_at
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- SettleStatements.add_steps(id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries)
INSERT INTO steps (id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries) VALUES ($1::BIGINT, $2::BIGINT, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::BIGINT, $8::BIGINT, $9::BIGINT, $10::BIGINT, $11::BIGINT, $12::BIGINT, $13::BIGINT, $14::BIGINT, $15::VARCHAR, $16::BIGINT, $17::VARCHAR, $18::VARCHAR, $19::VARCHAR, $20::VARCHAR, $21::BIGINT, $22::BIGINT, $23::BIGINT, $24::BIGINT);

-- SettleStatements.add_steps.together(rows)
INSERT INTO steps (id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries) SELECT input.id, input.run_key, input.step_id, input.kind, input.queue, input.status, input.priority, input.ready_at, input.pending, input.attempt, input.failures, input.lost_leases, input.max_attempts, input.timeout, input.retry, input.allow_failure, input.input, input.metadata, input.dedup_key, input.site, input.parent, input.token, input.created_at, input.max_recoveries
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS run_key, CAST(given.value ->> 2 AS TEXT) AS step_id, CAST(given.value ->> 3 AS TEXT) AS kind, CAST(given.value ->> 4 AS TEXT) AS queue, CAST(given.value ->> 5 AS TEXT) AS status, CAST(given.value ->> 6 AS BIGINT) AS priority, CAST(given.value ->> 7 AS BIGINT) AS ready_at, CAST(given.value ->> 8 AS BIGINT) AS pending, CAST(given.value ->> 9 AS BIGINT) AS attempt, CAST(given.value ->> 10 AS BIGINT) AS failures, CAST(given.value ->> 11 AS BIGINT) AS lost_leases, CAST(given.value ->> 12 AS BIGINT) AS max_attempts, CAST(given.value ->> 13 AS BIGINT) AS timeout, CAST(given.value ->> 14 AS TEXT) AS retry, CAST(given.value ->> 15 AS BIGINT) AS allow_failure, CAST(given.value ->> 16 AS TEXT) AS input, CAST(given.value ->> 17 AS TEXT) AS metadata, CAST(given.value ->> 18 AS TEXT) AS dedup_key, CAST(given.value ->> 19 AS TEXT) AS site, CAST(given.value ->> 20 AS BIGINT) AS parent, CAST(given.value ->> 21 AS BIGINT) AS token, CAST(given.value ->> 22 AS BIGINT) AS created_at, CAST(given.value ->> 23 AS BIGINT) AS max_recoveries
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- SettleStatements.cancel(now, rows)
UPDATE steps SET status='canceled', error=input.error, cause=input.cause, ended_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS TEXT) AS error, CAST(given.value ->> 2 AS BIGINT) AS cause
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND steps.status = 'pending' RETURNING steps.id, steps.run_key;

-- SettleStatements.clear_artifacts(keys)
DELETE FROM artifacts WHERE artifacts.step IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- SettleStatements.count_down.all(now, rows)
UPDATE steps SET status=CASE WHEN (steps.pending - input.count = 0) THEN 'ready' ELSE steps.status END, ready_at=CASE WHEN (steps.pending - input.count = 0) THEN $1 ELSE steps.ready_at END, pending=(steps.pending - input.count) FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS count
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND coalesce(steps.status, '') = 'pending';

-- SettleStatements.count_up(rows)
UPDATE steps SET pending=(steps.pending + input.count) FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS count
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input WHERE steps.id = input.id AND steps.status = 'pending';

-- SettleStatements.dependents.all(rows)
SELECT dependencies.step, dependencies.condition, count(*) AS count_1, min(dependencies.needs) AS min_1
FROM dependencies, (SELECT CAST(given.value ->> 0 AS BIGINT) AS key
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input
WHERE dependencies.needs = input.key GROUP BY dependencies.step, dependencies.condition;

-- SettleStatements.fail.all(now, rows)
UPDATE steps SET status='failed', failures=(steps.failures + 1), expires_at=NULL, error=input.error, ended_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token, CAST(given.value ->> 2 AS TEXT) AS error
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING steps.id;

-- SettleStatements.hand_on.all(now, worker, expires, suspect_from, kinds, queues, rows)
UPDATE steps SET status='running', ready_at=$1::BIGINT, pending=0, attempt=(steps.attempt + 1), worker=$2::VARCHAR, token=(steps.token + 1), expires_at=$3::BIGINT, started_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS count
FROM jsonb_array_elements(CAST($4 AS JSONB)) AS given
 LIMIT $5::BIGINT) AS input WHERE steps.id = input.id AND steps.pending = input.count AND coalesce(steps.status, '') = 'pending' AND steps.kind = ANY (CAST($6 AS TEXT[])) AND steps.queue = ANY (CAST($7 AS TEXT[])) AND steps.lost_leases < $8::BIGINT AND NOT (EXISTS (SELECT *
FROM runs
WHERE runs.id = steps.run_key AND runs.holds > 0)) AND NOT (EXISTS (SELECT *
FROM steps AS other
WHERE other.status = 'ready')) RETURNING steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt - 1 AS anon_1, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token - 1 AS anon_2, steps.created_at;

-- SettleStatements.names(keys)
SELECT steps.id, steps.step_id, steps.cause, steps.status
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- SettleStatements.put_records(package, collection, key, value, step, updated_at)
INSERT INTO records (package, collection, key, value, step, updated_at) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::BIGINT, $6::BIGINT) ON CONFLICT (package, collection, key) DO UPDATE SET value = excluded.value, step = excluded.step, updated_at = excluded.updated_at;

-- SettleStatements.put_records.together(rows)
INSERT INTO records (package, collection, key, value, step, updated_at) SELECT input.package, input.collection, input.key, input.value, input.step, input.updated_at
FROM (SELECT CAST(given.value ->> 0 AS TEXT) AS package, CAST(given.value ->> 1 AS TEXT) AS collection, CAST(given.value ->> 2 AS TEXT) AS key, CAST(given.value ->> 3 AS TEXT) AS value, CAST(given.value ->> 4 AS BIGINT) AS step, CAST(given.value ->> 5 AS BIGINT) AS updated_at
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input ON CONFLICT (package, collection, key) DO UPDATE SET value = excluded.value, step = excluded.step, updated_at = excluded.updated_at;

-- SettleStatements.release.all(rows)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), expires_at=NULL FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING steps.id;

-- SettleStatements.required_below(keys)
WITH RECURSIVE below(step) AS
(SELECT fallen.value AS step
FROM (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AS fallen UNION SELECT dependencies.step AS step
FROM dependencies, below
WHERE dependencies.needs = below.step AND dependencies.condition = 'succeeded')
 SELECT below.step
FROM below;

-- SettleStatements.retry.all(rows)
UPDATE steps SET status='ready', ready_at=input.ready_at, failures=(steps.failures + 1), expires_at=NULL, error=input.error, wait=NULL, wake_at=NULL FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token, CAST(given.value ->> 2 AS TEXT) AS error, CAST(given.value ->> 3 AS BIGINT) AS ready_at
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING steps.id;

-- SettleStatements.skip(now, rows)
UPDATE steps SET status='skipped', error=input.error, cause=input.cause, ended_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS TEXT) AS error, CAST(given.value ->> 2 AS BIGINT) AS cause
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND steps.status = 'pending' RETURNING steps.id, steps.run_key;

-- SettleStatements.status_of(keys)
SELECT steps.id, steps.run_key, steps.status, steps.token
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- SettleStatements.subtree_dependents(keys)
SELECT dependencies.needs, dependencies.step, dependencies.condition
FROM dependencies
WHERE dependencies.needs IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND dependencies.subtree = 1;

-- SettleStatements.succeed.all(now, rows)
UPDATE steps SET status='succeeded', expires_at=NULL, error=NULL, ended_at=$1::BIGINT FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token
FROM jsonb_array_elements(CAST($2 AS JSONB)) AS given
 LIMIT $3::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING steps.id;

-- SettleStatements.suspend.all(rows)
UPDATE steps SET status='waiting', attempt=(steps.attempt - 1), expires_at=NULL, wait=input.wait, wait_for=input.wait_for, wake_at=input.wake_at FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS token, CAST(given.value ->> 2 AS TEXT) AS wait, CAST(given.value ->> 3 AS TEXT) AS wait_for, CAST(given.value ->> 4 AS BIGINT) AS wake_at
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING steps.id;

-- SnapshotEntries.first(before)
SELECT min(id + 0) FROM event_feed WHERE xid >= pg_snapshot_xmin(CAST($1 AS pg_snapshot)) AND NOT pg_visible_in_snapshot(xid, CAST($1 AS pg_snapshot));

-- SnapshotEntries.newest()
SELECT xid < pg_snapshot_xmax(pg_current_snapshot()) FROM event_feed ORDER BY xid DESC LIMIT 1;

-- SnapshotEntries.page(entry, seq, before, until, most)
SELECT f.id, r.run_id, e.seq, e.type, e.at, s.step_id, e.attempt, e.worker, e.data
FROM event_feed f JOIN events e ON e.run_key = f.run_key AND e.seq BETWEEN f.first AND f.last
JOIN runs r ON r.id = f.run_key LEFT JOIN steps s ON s.id = e.step
WHERE f.id >= $1 AND (f.id > $1 OR e.seq > $2) AND NOT pg_visible_in_snapshot(f.xid, CAST($3 AS pg_snapshot)) AND pg_visible_in_snapshot(f.xid, CAST($4 AS pg_snapshot))
ORDER BY f.id, e.seq LIMIT $5;

-- SnapshotEntries.state()
SELECT to_regclass('event_feed') IS NOT NULL, CAST(pg_current_snapshot() AS text), current_schema(), set_config('max_parallel_workers_per_gather', '0', true);

-- StepwiseStatements.add_events(run_key, seq, type, at, step, attempt, worker, data)
INSERT INTO events (run_key, seq, type, at, step, attempt, worker, data) VALUES ($1::BIGINT, $2::BIGINT, $3::VARCHAR, $4::BIGINT, $5::BIGINT, $6::BIGINT, $7::VARCHAR, $8::VARCHAR);

-- StepwiseStatements.add_events.together(rows)
INSERT INTO events (run_key, seq, type, at, step, attempt, worker, data) SELECT input.run_key, input.seq, input.type, input.at, input.step, input.attempt, input.worker, input.data
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS BIGINT) AS seq, CAST(given.value ->> 2 AS TEXT) AS type, CAST(given.value ->> 3 AS BIGINT) AS at, CAST(given.value ->> 4 AS BIGINT) AS step, CAST(given.value ->> 5 AS BIGINT) AS attempt, CAST(given.value ->> 6 AS TEXT) AS worker, CAST(given.value ->> 7 AS TEXT) AS data
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- StepwiseStatements.count.all(rows)
UPDATE runs SET total_steps=(runs.total_steps + input.total), open_steps=(runs.open_steps + input.open), event_seq=(runs.event_seq + input.events) FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS id, CAST(given.value ->> 1 AS BIGINT) AS total, CAST(given.value ->> 2 AS BIGINT) AS open, CAST(given.value ->> 3 AS BIGINT) AS events
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input WHERE runs.id = input.id RETURNING runs.id, runs.open_steps, runs.event_seq, runs.status, runs.holds;

-- StepwiseStatements.end_runs(now, keys)
UPDATE runs SET status=CASE WHEN (runs.error IS NOT NULL) THEN 'failed' WHEN (EXISTS (SELECT *
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'canceled' AND steps.cause IS NULL)) THEN 'canceled' WHEN (EXISTS (SELECT *
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'failed' AND steps.allow_failure = 0 AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id AND dependencies.condition = 'failed')))) THEN 'failed' ELSE 'succeeded' END, ended_at=$1::BIGINT, holds=(runs.holds - CASE WHEN (runs.status = 'paused') THEN 1 ELSE 0 END), error_step=(SELECT steps.id
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'failed' AND steps.allow_failure = 0 AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id AND dependencies.condition = 'failed')) ORDER BY steps.ended_at, steps.id
 LIMIT 1) WHERE runs.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')) RETURNING runs.id, runs.run_id, runs.status;

-- ValueStatements.add(run_key, key, seq, value, step, operation, at)
INSERT INTO values (run_key, key, seq, value, step, operation, at) VALUES ($1::BIGINT, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::BIGINT, $6::VARCHAR, $7::BIGINT);

-- ValueStatements.add.together(rows)
INSERT INTO values (run_key, key, seq, value, step, operation, at) SELECT input.run_key, input.key, input.seq, input.value, input.step, input.operation, input.at
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS run_key, CAST(given.value ->> 1 AS TEXT) AS key, CAST(given.value ->> 2 AS BIGINT) AS seq, CAST(given.value ->> 3 AS TEXT) AS value, CAST(given.value ->> 4 AS BIGINT) AS step, CAST(given.value ->> 5 AS TEXT) AS operation, CAST(given.value ->> 6 AS BIGINT) AS at
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- ValueStatements.history(run_key, key, most)
SELECT values.seq, values.value, steps.step_id, values.at
FROM values JOIN steps ON steps.id = values.step
WHERE values.run_key = $1::BIGINT AND values.key = $2::VARCHAR ORDER BY values.seq DESC
 LIMIT $3;

-- ValueStatements.last_number(run_key, key)
SELECT coalesce(max(values.seq), 0) AS coalesce_1
FROM values
WHERE values.run_key = $1::BIGINT AND values.key = $2::VARCHAR;

-- ValueStatements.last_of_each(run_key)
SELECT values.key, values.seq, values.value, steps.step_id, values.at
FROM (SELECT values.key AS key, max(values.seq) AS seq
FROM values
WHERE values.run_key = $1::BIGINT GROUP BY values.key) AS newest JOIN values ON values.key = newest.key AND values.seq = newest.seq JOIN steps ON steps.id = values.step
WHERE values.run_key = $1::BIGINT ORDER BY values.key;

-- ValueStatements.set_by(step, operation)
SELECT values.key, values.value
FROM values
WHERE values.step = $1::BIGINT AND values.operation = $2::VARCHAR;

-- ValueStatements.waiting_runs(name)
SELECT steps.run_key
FROM steps
WHERE steps.status = 'waiting' AND steps.wait_for = $1::VARCHAR UNION SELECT steps.run_key
FROM waits JOIN steps ON steps.id = waits.step
WHERE waits.name = $1::VARCHAR;

-- WakingStatements.find_one(name)
SELECT steps.id, steps.wait_for, 0
FROM steps
WHERE steps.status = 'waiting' AND steps.wait_for = $1::VARCHAR UNION ALL SELECT waits.step, waits.name, 1
FROM waits
WHERE waits.name = $1::VARCHAR;

-- WakingStatements.find_waiting(names)
SELECT steps.id, steps.wait_for, 0
FROM steps
WHERE steps.status = 'waiting' AND steps.wait_for IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) UNION ALL SELECT waits.step, waits.name, 1
FROM waits
WHERE waits.name IN (SELECT anon_1.value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- WakingStatements.wake_steps(now, keys)
UPDATE steps SET status='ready', ready_at=$1::BIGINT, wait_for=NULL WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($2 AS JSONB)) AS anon_1
 LIMIT $3::BIGINT) AND coalesce(steps.status, '') = 'waiting' RETURNING steps.id, steps.run_key, steps.attempt;

-- WorkerStatements.drop(id)
DELETE FROM workers WHERE workers.id = $1::VARCHAR;

-- WorkerStatements.drop_silent(before)
DELETE FROM workers WHERE workers.id IN (SELECT workers.id
FROM workers
WHERE workers.seen_at < $1::BIGINT FOR UPDATE SKIP LOCKED);

-- WorkerStatements.put(id, host, pid, version, queues, started_at, seen_at, kinds, labels)
INSERT INTO workers (id, host, pid, version, queues, started_at, seen_at, kinds, labels) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BIGINT, $4::VARCHAR, $5::VARCHAR, $6::BIGINT, $7::BIGINT, $8::VARCHAR, $9::VARCHAR) ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, version = excluded.version, queues = excluded.queues, started_at = excluded.started_at, seen_at = excluded.seen_at, kinds = excluded.kinds, labels = excluded.labels;

-- _SideBySideStatements.add(step, name)
INSERT INTO waits (step, name) VALUES ($1::BIGINT, $2::VARCHAR);

-- _SideBySideStatements.add.together(rows)
INSERT INTO waits (step, name) SELECT input.step, input.name
FROM (SELECT CAST(given.value ->> 0 AS BIGINT) AS step, CAST(given.value ->> 1 AS TEXT) AS name
FROM jsonb_array_elements(CAST($1 AS JSONB)) AS given
 LIMIT $2::BIGINT) AS input;

-- _SideBySideStatements.forget(keys)
DELETE FROM waits WHERE waits.step IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT);

-- _SideBySideStatements.lock_runs(keys)
SELECT runs.id
FROM runs
WHERE runs.id IN (SELECT steps.run_key
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT)) ORDER BY runs.id FOR UPDATE;

-- _SideBySideStatements.standing(keys)
SELECT steps.id, steps.run_key, steps.wait, steps.wake_at
FROM steps
WHERE steps.id IN (SELECT CAST(anon_1.value AS BIGINT) AS value
FROM jsonb_array_elements_text(CAST($1 AS JSONB)) AS anon_1
 LIMIT $2::BIGINT) AND coalesce(steps.status, '') = 'waiting' ORDER BY steps.id FOR UPDATE;

-- _SideBySideStatements.wait_on(wait, wake_at, step)
UPDATE steps SET wait=$1::VARCHAR, wake_at=$2::BIGINT WHERE steps.id = $3::BIGINT;
