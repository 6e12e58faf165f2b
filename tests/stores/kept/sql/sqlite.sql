-- ArrivalStatements.first_failure(run_key)
SELECT steps.error
FROM steps
WHERE steps.run_key = ? AND steps.status = 'failed' AND steps.allow_failure = 0 ORDER BY steps.id
 LIMIT 1 OFFSET 0;

-- ArrivalStatements.first_message(run_key, topic)
SELECT messages.created_at, messages.payload, messages.id
FROM messages
WHERE messages.run_key = ? AND messages.topic = ? AND messages.receiver IS NULL ORDER BY messages.id
 LIMIT 1 OFFSET 0;

-- ArrivalStatements.first_value(run_key, key)
SELECT "values".at, "values".value
FROM "values"
WHERE "values".run_key = ? AND "values"."key" = ? ORDER BY "values".seq
 LIMIT 1 OFFSET 0;

-- ArrivalStatements.given(step, operation)
SELECT messages.created_at, messages.payload, messages.id
FROM messages
WHERE messages.receiver = ? AND messages.operation = ? AND messages.receiver IS NOT NULL;

-- ArrivalStatements.last_results(run_key)
SELECT results.value
FROM steps LEFT OUTER JOIN results ON results.step = steps.id
WHERE steps.run_key = ? AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id)) ORDER BY steps.id
 LIMIT 2 OFFSET 0;

-- ArrivalStatements.last_value(run_key, key)
SELECT "values".at, "values".value
FROM "values"
WHERE "values".run_key = ? AND "values"."key" = ? ORDER BY "values".seq DESC
 LIMIT 1 OFFSET 0;

-- ArrivalStatements.run(run_id)
SELECT runs.id, runs.status, runs.ended_at
FROM runs
WHERE runs.run_id = ?;

-- CancelStatements.cancel_open(now, error, run_key)
UPDATE steps SET status='canceled', expires_at=NULL, error=?, wait_for=NULL, wake_at=NULL, ended_at=?, wait_left=NULL WHERE steps.run_key = ? AND steps.status IN ('held', 'pending', 'ready', 'running', 'waiting') RETURNING id;

-- CancelStatements.forget_waits(keys)
DELETE FROM waits WHERE waits.step IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- CancelStatements.open_below(run_key)
WITH RECURSIVE below(id) AS
(SELECT runs.id AS id
FROM runs
WHERE runs.parent_run IS NOT NULL AND runs.parent_run = ? AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')) UNION ALL SELECT runs.id AS id
FROM runs, below
WHERE runs.parent_run IS NOT NULL AND runs.parent_run = below.id AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')))
 SELECT below.id
FROM below ORDER BY below.id;

-- CheckpointStatements.drop(id)
DELETE FROM checkpoints WHERE execution_id = ?;

-- CheckpointStatements.drop_operations(id)
DELETE FROM checkpoint_operations WHERE execution_id = ?;

-- CheckpointStatements.head(id)
SELECT head, pause_requested, pause_reason FROM checkpoints WHERE execution_id = ?;

-- CheckpointStatements.held(id, token)
SELECT 1 FROM steps WHERE id = ? AND token = ? AND status = 'running';

-- CheckpointStatements.locked_head(id)
SELECT head, pause_requested, pause_reason FROM checkpoints WHERE execution_id = ?;

-- CheckpointStatements.operation_texts(id)
SELECT operation_id, body FROM checkpoint_operations WHERE execution_id = ? ORDER BY seq;

-- CheckpointStatements.operations(id)
SELECT body FROM checkpoint_operations WHERE execution_id = ? ORDER BY seq;

-- CheckpointStatements.put_head(id, head, paused, reason, now)
INSERT INTO checkpoints (execution_id, head, pause_requested, pause_reason, updated_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (execution_id) DO UPDATE SET head = excluded.head, pause_requested = excluded.pause_requested, pause_reason = excluded.pause_reason, updated_at = excluded.updated_at;

-- CheckpointStatements.put_operation(id, operation, body)
INSERT INTO checkpoint_operations (execution_id, seq, operation_id, body) SELECT ?, coalesce(max(seq), 0) + 1, ?, ? FROM checkpoint_operations WHERE execution_id = ? ON CONFLICT (execution_id, operation_id) DO UPDATE SET body = excluded.body;

-- CheckpointStatements.renew_head(id, head, now, present)
INSERT INTO checkpoints (execution_id, head, pause_requested, pause_reason, updated_at) VALUES (?, ?, 0, '', ?) ON CONFLICT (execution_id) DO UPDATE SET head = excluded.head, updated_at = excluded.updated_at WHERE substr(checkpoints.head, 1, 20) = ? RETURNING pause_requested;

-- ClaimStatements.find_ready(queue, kind, now, suspect_from, limit)
SELECT steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token, steps.created_at
FROM steps
WHERE steps.status = 'ready' AND steps.queue = ? AND steps.kind = ? AND steps.ready_at <= ? AND steps.lost_leases < ? ORDER BY steps.priority, steps.ready_at, steps.id
 LIMIT ? OFFSET 0;

-- ClaimStatements.find_suspect(suspect_from, queues, kinds, now)
SELECT steps.priority, steps.ready_at, steps.id, steps.run_key, steps.step_id, steps.kind, steps.queue, steps.input, steps.attempt, steps.failures, steps.lost_leases, steps.max_attempts, steps.timeout, steps.retry, steps.metadata, steps.dedup_key, steps.site, steps.parent, steps.allow_failure, steps.wait, steps.wake_at, steps.token, steps.created_at
FROM steps
WHERE steps.status = 'ready' AND steps.lost_leases > 0 AND steps.lost_leases >= ? AND steps.queue IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND steps.kind IN (SELECT anon_2.value
FROM json_each(?) AS anon_2) AND steps.ready_at <= ? ORDER BY steps.priority, steps.ready_at, steps.id
 LIMIT 1 OFFSET 0;

-- ClaimStatements.give_back(keys)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), worker=NULL, token=(steps.token - 1), expires_at=NULL, started_at=CASE WHEN (steps.token > 1) THEN steps.started_at ELSE NULL END WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND coalesce(steps.status, '') = 'running';

-- ClaimStatements.load_runs(keys)
SELECT runs.status, runs.id, runs.run_id, runs.package, runs.entrypoint, runs.name, runs.metadata, runs.tags, runs.input, runs.created_at, runs.parent_run, runs.queue, runs.priority
FROM runs
WHERE runs.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- ClaimStatements.ready_kinds(queue)
WITH RECURSIVE kinds(kind) AS
(SELECT min(steps.kind) AS kind
FROM steps
WHERE steps.status = 'ready' AND steps.queue = ? UNION ALL SELECT (SELECT min(steps.kind) AS kind
FROM steps
WHERE steps.status = 'ready' AND steps.queue = ? AND steps.kind > kinds.kind) AS anon_2
FROM kinds
WHERE kinds.kind IS NOT NULL)
 SELECT kinds.kind, EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.lost_leases > 0 AND steps.queue = ?) AS anon_1
FROM kinds
WHERE kinds.kind IS NOT NULL;

-- ClaimStatements.start_runs(now, keys)
UPDATE runs SET status='running', started_at=coalesce(runs.started_at, ?) WHERE runs.id IN (SELECT runs.id
FROM runs
WHERE runs.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND runs.status = 'pending') RETURNING id, run_id, package, entrypoint, name, metadata, tags, input, created_at, parent_run, queue, priority;

-- ClaimStatements.step_names(keys)
SELECT steps.id, steps.step_id
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- ClaimStatements.take(worker, now, expires, keys)
UPDATE steps SET status='running', attempt=(steps.attempt + 1), worker=?, token=(steps.token + 1), expires_at=?, started_at=? WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND coalesce(steps.status, '') = 'ready';

-- ClosingStatements.hold_back(now, keys)
UPDATE steps SET status=CASE WHEN (steps.status = 'ready') THEN 'held' ELSE steps.status END, wake_at=NULL, wait_left=coalesce(steps.wait_left, steps.wake_at - ?) FROM runs WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND runs.id = steps.run_key AND (runs.status = 'paused' OR steps.held = 1) AND (coalesce(steps.status, '') = 'ready' OR coalesce(steps.status, '') = 'waiting');

-- GraphStatements.add_run(id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds)
INSERT INTO runs (id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- GraphStatements.add_run.several(id_0, run_id_0, package_0, entrypoint_0, name_0, status_0, input_0, metadata_0, tags_0, total_steps_0, open_steps_0, event_seq_0, parent_run_0, parent_step_0, created_at_0, started_at_0, ended_at_0, holds_0, id_1, run_id_1, package_1, entrypoint_1, name_1, status_1, input_1, metadata_1, tags_1, total_steps_1, open_steps_1, event_seq_1, parent_run_1, parent_step_1, created_at_1, started_at_1, ended_at_1, holds_1, id_2, run_id_2, package_2, entrypoint_2, name_2, status_2, input_2, metadata_2, tags_2, total_steps_2, open_steps_2, event_seq_2, parent_run_2, parent_step_2, created_at_2, started_at_2, ended_at_2, holds_2, id_3, run_id_3, package_3, entrypoint_3, name_3, status_3, input_3, metadata_3, tags_3, total_steps_3, open_steps_3, event_seq_3, parent_run_3, parent_step_3, created_at_3, started_at_3, ended_at_3, holds_3, id_4, run_id_4, package_4, entrypoint_4, name_4, status_4, input_4, metadata_4, tags_4, total_steps_4, open_steps_4, event_seq_4, parent_run_4, parent_step_4, created_at_4, started_at_4, ended_at_4, holds_4, id_5, run_id_5, package_5, entrypoint_5, name_5, status_5, input_5, metadata_5, tags_5, total_steps_5, open_steps_5, event_seq_5, parent_run_5, parent_step_5, created_at_5, started_at_5, ended_at_5, holds_5, id_6, run_id_6, package_6, entrypoint_6, name_6, status_6, input_6, metadata_6, tags_6, total_steps_6, open_steps_6, event_seq_6, parent_run_6, parent_step_6, created_at_6, started_at_6, ended_at_6, holds_6, id_7, run_id_7, package_7, entrypoint_7, name_7, status_7, input_7, metadata_7, tags_7, total_steps_7, open_steps_7, event_seq_7, parent_run_7, parent_step_7, created_at_7, started_at_7, ended_at_7, holds_7)
INSERT INTO runs (id, run_id, package, entrypoint, name, status, input, metadata, tags, total_steps, open_steps, event_seq, parent_run, parent_step, created_at, started_at, ended_at, holds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- GraphStatements.ancestors(key)
WITH RECURSIVE above(id, parent) AS
(SELECT steps.id AS id, steps.parent AS parent
FROM steps
WHERE steps.id = ? UNION ALL SELECT steps.id AS id, steps.parent AS parent
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
WHERE steps.id IN (SELECT anon_2.value
FROM json_each(?) AS anon_2) UNION SELECT steps.id AS id, steps.status AS status
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
WHERE dependencies.needs IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) UNION SELECT dependencies.step AS step
FROM dependencies, downstream
WHERE dependencies.needs = downstream.step)
 SELECT downstream.step
FROM downstream;

-- GraphStatements.find(rows)
SELECT steps.run_key, steps.step_id, steps.id, steps.status
FROM steps, (SELECT given.value ->> 0 AS run_key, given.value ->> 1 AS step_id
FROM json_each(?) AS given) AS input
WHERE steps.run_key = input.run_key AND steps.step_id = input.step_id;

-- GraphStatements.find_dedup(rows)
SELECT steps.run_key, steps.dedup_key, steps.id, steps.status, steps.step_id
FROM steps, (SELECT given.value ->> 0 AS run_key, given.value ->> 1 AS dedup_key
FROM json_each(?) AS given) AS input
WHERE steps.run_key = input.run_key AND steps.dedup_key = input.dedup_key AND steps.dedup_key IS NOT NULL;

-- GraphStatements.lock_runs(keys)
SELECT runs.id
FROM runs
WHERE runs.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) ORDER BY runs.id;

-- GraphStatements.parents(keys)
SELECT runs.parent_run
FROM runs
WHERE runs.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND runs.parent_run IS NOT NULL;

-- GraphStatements.reserve_graphs(runs, steps)
UPDATE meta SET value=(meta.value + CASE WHEN (meta.name = 'next_run') THEN ? ELSE ? END) WHERE meta.name IN ('next_run', 'next_step') RETURNING name, value;

-- GraphStatements.some_ids(run_key)
SELECT steps.step_id
FROM steps
WHERE steps.run_key = ? ORDER BY steps.id DESC
 LIMIT 2000 OFFSET 0;

-- GraphStatements.taken(run_ids)
SELECT runs.run_id
FROM runs
WHERE runs.run_id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- HoldStatements.add_hold(count, run_key)
UPDATE runs SET holds=(runs.holds + ?) WHERE runs.id = ?;

-- HoldStatements.flag(held, step)
UPDATE steps SET held=? WHERE steps.id = ? AND steps.held != ? RETURNING id;

-- HoldStatements.freeze_run(now, run_key)
UPDATE steps SET status=CASE WHEN (steps.status = 'ready') THEN 'held' ELSE steps.status END, wake_at=NULL, wait_left=coalesce(steps.wait_left, steps.wake_at - ?) WHERE steps.run_key = ? AND (steps.status = 'ready' OR steps.status = 'waiting') RETURNING status;

-- HoldStatements.freeze_step(now, step)
UPDATE steps SET status=CASE WHEN (steps.status = 'ready') THEN 'held' ELSE steps.status END, wake_at=NULL, wait_left=coalesce(steps.wait_left, steps.wake_at - ?) WHERE steps.id = ? AND (coalesce(steps.status, '') = 'ready' OR coalesce(steps.status, '') = 'waiting') RETURNING status;

-- HoldStatements.pause(now, run_key)
UPDATE runs SET status='paused', holds=(runs.holds + 1), paused_at=? WHERE runs.id = ?;

-- HoldStatements.resume(now, status, run_key)
UPDATE runs SET status=?, holds=(runs.holds - 1), timeout_from=CASE WHEN (runs.timeout IS NOT NULL) THEN coalesce(runs.timeout_from, runs.started_at) + (? - coalesce(runs.paused_at, ?)) END, paused_at=NULL WHERE runs.id = ?;

-- HoldStatements.unhold_run(now, run_key)
UPDATE steps SET status=CASE WHEN (steps.status = 'held') THEN 'ready' ELSE steps.status END, wake_at=coalesce(? + steps.wait_left, steps.wake_at), wait_left=NULL WHERE steps.held = 0 AND steps.run_key = ? AND (steps.status = 'held' OR steps.status = 'waiting') RETURNING status;

-- HoldStatements.unhold_step(now, step)
UPDATE steps SET status=CASE WHEN (steps.status = 'held') THEN 'ready' ELSE steps.status END, wake_at=coalesce(? + steps.wait_left, steps.wake_at), wait_left=NULL WHERE steps.held = 0 AND steps.id = ? AND (coalesce(steps.status, '') = 'held' OR coalesce(steps.status, '') = 'waiting') RETURNING status;

-- HoldStatements.was_started(run_key)
SELECT runs.started_at IS NOT NULL AS anon_1
FROM runs
WHERE runs.id = ?;

-- KeyValueStatements.forget_old(before)
DELETE FROM kv WHERE kv."key" IN (SELECT kv."key"
FROM kv
WHERE kv.expires_at < ? ORDER BY kv.expires_at
 LIMIT 100 OFFSET 0);

-- KeyValueStatements.get(key, now)
SELECT kv."key", kv.value, kv.version, kv.expires_at, kv.updated_at
FROM kv
WHERE kv."key" = ? AND (kv.expires_at IS NULL OR kv.expires_at > ? AND kv.expires_at > kv.updated_at);

-- KeyValueStatements.list(after, prefix, now, limit, end)
SELECT kv."key", kv.value, kv.version, kv.expires_at, kv.updated_at
FROM kv
WHERE kv."key" > ? AND kv."key" >= ? AND (kv.expires_at IS NULL OR kv.expires_at > ? AND kv.expires_at > kv.updated_at) AND kv."key" < ? ORDER BY kv."key"
 LIMIT ? OFFSET 0;

-- KeyValueStatements.list_from(after, prefix, now, limit)
SELECT kv."key", kv.value, kv.version, kv.expires_at, kv.updated_at
FROM kv
WHERE kv."key" > ? AND kv."key" >= ? AND (kv.expires_at IS NULL OR kv.expires_at > ? AND kv.expires_at > kv.updated_at) ORDER BY kv."key"
 LIMIT ? OFFSET 0;

-- KeyValueStatements.put(key, value, expires, now)
INSERT INTO kv ("key", value, version, expires_at, updated_at) VALUES (?, ?, 1, ?, ?) ON CONFLICT ("key") DO UPDATE SET value = ?, version = (kv.version + 1), expires_at = ?, updated_at = ? RETURNING version;

-- KeyValueStatements.put_new(key, value, expires, now)
INSERT INTO kv ("key", value, version, expires_at, updated_at) VALUES (?, ?, 1, ?, ?) ON CONFLICT ("key") DO UPDATE SET value = ?, version = (kv.version + 1), expires_at = ?, updated_at = ? WHERE kv.expires_at <= ? OR kv.expires_at <= kv.updated_at RETURNING version;

-- KeyValueStatements.put_over(key, value, expires, now, version)
UPDATE kv SET value=?, version=(kv.version + 1), expires_at=?, updated_at=? WHERE kv."key" = ? AND (kv.expires_at IS NULL OR kv.expires_at > ? AND kv.expires_at > kv.updated_at) AND kv.version = ? RETURNING version;

-- KeyValueStatements.remove(key, now)
UPDATE kv SET value='null', version=(kv.version + 1), expires_at=?, updated_at=? WHERE kv."key" = ? AND (kv.expires_at IS NULL OR kv.expires_at > ? AND kv.expires_at > kv.updated_at) RETURNING version;

-- KeyValueStatements.remove_version(key, now, version)
UPDATE kv SET value='null', version=(kv.version + 1), expires_at=?, updated_at=? WHERE kv."key" = ? AND (kv.expires_at IS NULL OR kv.expires_at > ? AND kv.expires_at > kv.updated_at) AND kv.version = ? RETURNING version;

-- LeaseStatements.anything_due(now)
SELECT (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'running' AND steps.expires_at <= ?)) OR (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'waiting' AND steps.wake_at <= ?)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running' AND coalesce(runs.timeout_from, runs.started_at) + runs.timeout <= ?)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL AND runs.deadline <= ?)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL AND runs.start_by <= ?)) AS anon_1;

-- LeaseStatements.find_due(now, most)
SELECT steps.id, steps.run_key, steps.wait_for
FROM steps
WHERE steps.status = 'waiting' AND steps.wake_at <= ? ORDER BY steps.wake_at
 LIMIT ? OFFSET 0;

-- LeaseStatements.held(key, token)
SELECT steps.id
FROM steps
WHERE steps.id = ? AND steps.token = ? AND steps.status = 'running';

-- LeaseStatements.lapse(now, runs)
UPDATE steps SET status='ready', ready_at=?, lost_leases=(steps.lost_leases + 1), expires_at=NULL WHERE steps.status = 'running' AND steps.expires_at <= ? AND coalesce(steps.run_key, 0) IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) RETURNING id, run_key, attempt, lost_leases, worker;

-- LeaseStatements.lapsed_runs(now)
SELECT DISTINCT steps.run_key
FROM steps
WHERE steps.status = 'running' AND steps.expires_at <= ?;

-- LeaseStatements.lose(now, before, after, most, runs)
UPDATE steps SET status='failed', lost_leases=(steps.lost_leases + 1), expires_at=NULL, error=(? || CAST(steps.lost_leases + 1 AS TEXT) || ?), ended_at=? WHERE steps.status = 'running' AND steps.expires_at <= ? AND coalesce(steps.run_key, 0) IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND steps.lost_leases + 1 >= coalesce(steps.max_recoveries + 1, ?) RETURNING id, run_key, attempt, lost_leases, worker;

-- LeaseStatements.next_due(after)
SELECT (SELECT min(steps.expires_at) AS min_1
FROM steps
WHERE steps.status = 'running') AS anon_1, (SELECT min(steps.wake_at) AS min_2
FROM steps
WHERE steps.status = 'waiting' AND steps.wake_at IS NOT NULL) AS anon_2, (SELECT min(steps.ready_at) AS min_3
FROM steps
WHERE steps.status = 'ready' AND steps.ready_at > ?) AS anon_3, (SELECT min(coalesce(runs.timeout_from, runs.started_at) + runs.timeout) AS min_4
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running') AS anon_4, (SELECT min(runs.deadline) AS min_5
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL) AS anon_5, (SELECT min(runs.start_by) AS min_6
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL) AS anon_6;

-- LeaseStatements.release_others(worker, keep)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), expires_at=NULL WHERE steps.status = 'running' AND steps.worker = ? AND (steps.id NOT IN (SELECT anon_1.value
FROM json_each(?) AS anon_1)) RETURNING id, run_key, attempt;

-- LeaseStatements.renew_waiting(until, worker, rows)
UPDATE steps SET expires_at=? FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS token
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.token = input.token AND steps.worker = ? AND steps.status = 'running' RETURNING id, token;

-- LeaseStatements.runs_held(worker)
SELECT DISTINCT steps.run_key
FROM steps
WHERE steps.status = 'running' AND steps.worker = ?;

-- LeaseStatements.status_of(keys)
SELECT steps.id, steps.status, steps.token
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- LeaseStatements.wake(now, keys)
UPDATE steps SET status='ready', ready_at=?, wait_for=NULL WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND coalesce(steps.status, '') = 'waiting' AND steps.wake_at <= ? RETURNING id, run_key, attempt;

-- LimitStatements.any_over(now)
SELECT (EXISTS (SELECT *
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running' AND coalesce(runs.timeout_from, runs.started_at) + runs.timeout <= ?)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL AND runs.deadline <= ?)) OR (EXISTS (SELECT *
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL AND runs.start_by <= ?)) AS anon_1;

-- LimitStatements.find_over(now)
SELECT over.id, over."limit", over.at
FROM (SELECT anon_1.id AS id, anon_1."limit" AS "limit", anon_1.at AS at
FROM (SELECT runs.id AS id, 'timeout' AS "limit", coalesce(runs.timeout_from, runs.started_at) + runs.timeout AS at
FROM runs
WHERE runs.timeout IS NOT NULL AND runs.status = 'running' AND coalesce(runs.timeout_from, runs.started_at) + runs.timeout <= ? ORDER BY coalesce(runs.timeout_from, runs.started_at) + runs.timeout
 LIMIT 1 OFFSET 0) AS anon_1 UNION ALL SELECT anon_2.id AS id, anon_2."limit" AS "limit", anon_2.at AS at
FROM (SELECT runs.id AS id, 'deadline' AS "limit", runs.deadline AS at
FROM runs
WHERE runs.deadline IS NOT NULL AND runs.ended_at IS NULL AND runs.deadline <= ? ORDER BY runs.deadline
 LIMIT 1 OFFSET 0) AS anon_2 UNION ALL SELECT anon_3.id AS id, anon_3."limit" AS "limit", anon_3.at AS at
FROM (SELECT runs.id AS id, 'start_by' AS "limit", runs.start_by AS at
FROM runs
WHERE runs.start_by IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL AND runs.start_by <= ? ORDER BY runs.start_by
 LIMIT 1 OFFSET 0) AS anon_3) AS over ORDER BY over.at, over.id
 LIMIT 1 OFFSET 0;

-- LimitStatements.set_error(error, run_key)
UPDATE runs SET error=? WHERE runs.id = ?;

-- MailboxStatements.asking(run_key, prefix)
SELECT steps.id, steps.step_id, steps.wait_for, steps.wake_at
FROM steps
WHERE steps.run_key = ? AND steps.status = 'waiting' AND substr(steps.wait_for, 1, length(?)) = ? UNION ALL SELECT steps.id, steps.step_id, waits.name, CASE WHEN (steps.wait_for = 'any') THEN steps.wake_at END AS anon_1
FROM waits JOIN steps ON steps.id = waits.step
WHERE steps.run_key = ? AND steps.status = 'waiting' AND substr(waits.name, 1, length(?)) = ? ORDER BY 1;

-- MailboxStatements.decided(run_key, prefix)
SELECT messages.payload
FROM messages
WHERE messages.run_key = ? AND substr(messages."key", 1, length(?)) = ? ORDER BY messages.id DESC
 LIMIT 1 OFFSET 0;

-- MailboxStatements.of_run(run_key)
SELECT messages.id, messages.topic, messages.payload, messages."key", messages.sender, steps.step_id, messages.created_at, messages.operation
FROM messages LEFT OUTER JOIN steps ON steps.id = messages.receiver
WHERE messages.run_key = ? ORDER BY messages.id;

-- MailboxStatements.of_topic(run_key, topic)
SELECT messages.id, messages.topic, messages.payload, messages."key", messages.sender, steps.step_id, messages.created_at, messages.operation
FROM messages LEFT OUTER JOIN steps ON steps.id = messages.receiver
WHERE messages.run_key = ? AND messages.topic = ? ORDER BY messages.id;

-- MailboxStatements.step_asking(run_key, prefix, step)
SELECT steps.id, steps.step_id, steps.wait_for, steps.wake_at
FROM steps
WHERE steps.run_key = ? AND steps.status = 'waiting' AND substr(steps.wait_for, 1, length(?)) = ? AND steps.id = ? UNION ALL SELECT steps.id, steps.step_id, waits.name, CASE WHEN (steps.wait_for = 'any') THEN steps.wake_at END AS anon_1
FROM waits JOIN steps ON steps.id = waits.step
WHERE steps.run_key = ? AND steps.status = 'waiting' AND substr(waits.name, 1, length(?)) = ? AND steps.id = ? ORDER BY 1;

-- MailboxStatements.unreceived(ids)
SELECT messages.id, messages.topic
FROM messages
WHERE messages.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND messages.receiver IS NULL;

-- MessageStatements.add(run_key, topic, payload, key, sender, created_at)
INSERT INTO messages (run_key, topic, payload, "key", sender, created_at) VALUES (?, ?, ?, ?, ?, ?);

-- MessageStatements.add.several(run_key_0, topic_0, payload_0, key_0, sender_0, created_at_0, run_key_1, topic_1, payload_1, key_1, sender_1, created_at_1, run_key_2, topic_2, payload_2, key_2, sender_2, created_at_2, run_key_3, topic_3, payload_3, key_3, sender_3, created_at_3, run_key_4, topic_4, payload_4, key_4, sender_4, created_at_4, run_key_5, topic_5, payload_5, key_5, sender_5, created_at_5, run_key_6, topic_6, payload_6, key_6, sender_6, created_at_6, run_key_7, topic_7, payload_7, key_7, sender_7, created_at_7)
INSERT INTO messages (run_key, topic, payload, "key", sender, created_at) VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?);

-- MessageStatements.arrived(rows)
SELECT input.step
FROM (SELECT given.value ->> 0 AS step, given.value ->> 1 AS run_key, given.value ->> 2 AS topic, given.value ->> 3 AS operation
FROM json_each(?) AS given) AS input, messages
WHERE messages.run_key = input.run_key AND messages.topic = input.topic AND messages.receiver IS NULL UNION SELECT input.step
FROM (SELECT given.value ->> 0 AS step, given.value ->> 1 AS run_key, given.value ->> 2 AS topic, given.value ->> 3 AS operation
FROM json_each(?) AS given) AS input, messages
WHERE messages.receiver = input.step AND messages.operation = input.operation AND messages.receiver IS NOT NULL;

-- MessageStatements.first(run_key, topic)
SELECT messages.id, messages.payload
FROM messages
WHERE messages.run_key = ? AND messages.topic = ? AND messages.receiver IS NULL ORDER BY messages.id
 LIMIT 1 OFFSET 0;

-- MessageStatements.given(step, operation)
SELECT messages.payload, messages.id
FROM messages
WHERE messages.receiver = ? AND messages.operation = ? AND messages.receiver IS NOT NULL;

-- MessageStatements.known_keys(rows)
SELECT messages.run_key, messages."key"
FROM messages, (SELECT given.value ->> 0 AS run_key, given.value ->> 1 AS "key"
FROM json_each(?) AS given) AS input
WHERE messages.run_key = input.run_key AND messages."key" = input."key" AND messages."key" IS NOT NULL;

-- MessageStatements.published(rows)
SELECT DISTINCT input.step
FROM (SELECT given.value ->> 0 AS step, given.value ->> 1 AS run_id, given.value ->> 2 AS "key"
FROM json_each(?) AS given) AS input, runs, "values"
WHERE runs.run_id = input.run_id AND "values".run_key = runs.id AND "values"."key" = input."key";

-- MessageStatements.refuse(refused, id, step, operation)
UPDATE messages SET operation=? WHERE messages.id = ? AND messages.receiver = ? AND messages.operation = ?;

-- MessageStatements.runs_named(names)
SELECT runs.run_id, runs.id, runs.status
FROM runs
WHERE runs.run_id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- MessageStatements.take(step, operation, id)
UPDATE messages SET receiver=?, operation=? WHERE messages.id = ?;

-- NumberedEntries.kept()
SELECT count(*) FROM sqlite_schema WHERE name = 'event_feed';

-- NumberedEntries.last()
SELECT coalesce(max(id), 0) FROM event_feed;

-- NumberedEntries.page(entry, seq, most)
SELECT f.id, r.run_id, e.seq, e.type, e.at, s.step_id, e.attempt, e.worker, e.data
FROM event_feed f CROSS JOIN events e ON e.run_key = f.run_key AND e.seq BETWEEN f.first AND f.last
JOIN runs r ON r.id = f.run_key LEFT JOIN steps s ON s.id = e.step
WHERE f.id >= ? AND (f.id > ? OR e.seq > ?)
ORDER BY f.id, e.seq LIMIT ?;

-- OperatorStatements.caught(keys)
SELECT dependencies.needs
FROM dependencies
WHERE dependencies.needs IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND dependencies.condition = 'failed';

-- OperatorStatements.edges_into(keys)
SELECT dependencies.step, dependencies.condition, dependencies.needs, target.status
FROM dependencies JOIN steps AS target ON target.id = dependencies.needs
WHERE dependencies.step IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- OperatorStatements.open_dependents(keys)
SELECT DISTINCT steps.id
FROM dependencies JOIN steps ON steps.id = dependencies.step
WHERE dependencies.needs IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND steps.status IN ('held', 'pending', 'ready');

-- OperatorStatements.recount(now, rows)
UPDATE steps SET status=CASE WHEN (input.pending > 0) THEN 'pending' WHEN (steps.status = 'pending') THEN 'ready' ELSE steps.status END, ready_at=CASE WHEN (steps.status = 'pending') THEN ? ELSE steps.ready_at END, pending=input.pending FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS pending
FROM json_each(?) AS given) AS input WHERE steps.id = input.id;

-- OperatorStatements.recount_holds(run_key)
UPDATE runs SET holds=((SELECT count(*) AS count_1
FROM steps
WHERE steps.run_key = ? AND steps.held = 1) + CASE WHEN (runs.status = 'paused') THEN 1 ELSE 0 END) WHERE runs.id = ?;

-- OperatorStatements.reopen(keys)
UPDATE steps SET status='pending', failures=0, lost_leases=0, error=NULL, cause=NULL, wait=NULL, wait_for=NULL, wake_at=NULL, ended_at=NULL, wait_left=NULL, held=0 WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND coalesce(steps.status, '') IN ('canceled', 'failed', 'skipped');

-- OperatorStatements.reopen_run(now, run_key)
UPDATE runs SET status=CASE WHEN (runs.started_at IS NULL) THEN 'pending' ELSE 'running' END, ended_at=NULL, start_by=NULL, timeout_from=CASE WHEN (runs.started_at IS NOT NULL) THEN ? END, paused_at=NULL, error_step=NULL, error=NULL WHERE runs.id = ? AND runs.status IN ('canceled', 'failed', 'succeeded');

-- OperatorStatements.reopened(run_key)
SELECT runs.package, runs.dedup_key, runs.deadline
FROM runs
WHERE runs.id = ?;

-- OperatorStatements.set_anew(deadline, dedup_key, run_key)
UPDATE runs SET dedup_key=?, deadline=? WHERE runs.id = ?;

-- OperatorStatements.unsuccessful(run_key)
SELECT steps.id, steps.step_id, steps.status, steps.error, steps.cause
FROM steps
WHERE steps.run_key = ? AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped');

-- OptionStatements.drop_holds(count, run_key)
UPDATE runs SET holds=(runs.holds - ?) WHERE runs.id = ?;

-- OptionStatements.drop_steps(run_key)
DELETE FROM steps WHERE steps.run_key = ? RETURNING held;

-- OptionStatements.drop_told(run_key)
UPDATE events SET step=NULL WHERE events.run_key = ? AND events.step IS NOT NULL;

-- OptionStatements.holder(package, dedup_key, now)
SELECT runs.id, runs.run_id
FROM runs
WHERE runs.package = ? AND runs.dedup_key = ? AND runs.dedup_key IS NOT NULL AND (runs.ended_at IS NULL OR runs.dedup_for IS NOT NULL) AND (runs.ended_at IS NULL OR runs.status = 'succeeded' AND runs.ended_at + runs.dedup_for > ?) ORDER BY runs.id
 LIMIT 2 OFFSET 0;

-- OptionStatements.replace(entrypoint, name, input, metadata, tags, queue, priority, partition_key, version, summary, dedup_key, dedup_for, start_at, start_by, timeout, deadline, id)
UPDATE runs SET entrypoint=?, name=?, input=?, metadata=?, tags=?, queue=?, priority=?, partition_key=?, version=?, summary=?, dedup_key=?, dedup_for=?, replaced=(coalesce(runs.replaced, 0) + 1), start_at=?, start_by=?, timeout=?, deadline=? WHERE runs.id = ?;

-- OptionStatements.set_options(queue, priority, partition_key, version, summary, dedup_key, dedup_for, start_at, start_by, timeout, deadline, id)
UPDATE runs SET queue=?, priority=?, partition_key=?, version=?, summary=?, dedup_key=?, dedup_for=?, start_at=?, start_by=?, timeout=?, deadline=? WHERE runs.id = ?;

-- OptionStatements.waiting(package, dedup_key)
SELECT runs.id, runs.run_id, runs.created_at
FROM runs
WHERE runs.package = ? AND runs.dedup_key = ? AND runs.dedup_key IS NOT NULL AND runs.started_at IS NULL AND runs.ended_at IS NULL;

-- QueueStatements.all()
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues ORDER BY queues.name;

-- QueueStatements.any_ready(queue)
SELECT steps.id
FROM steps
WHERE steps.status = 'ready' AND steps.queue = ?
 LIMIT 1 OFFSET 0;

-- QueueStatements.define(name, max_in_flight, rate_limit, rate_period, burst, tokens, refilled_at, max_per_worker, labels)
INSERT INTO queues (name, max_in_flight, rate_limit, rate_period, burst, tokens, refilled_at, max_per_worker, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET max_in_flight = excluded.max_in_flight, rate_limit = excluded.rate_limit, rate_period = excluded.rate_period, burst = excluded.burst, tokens = excluded.tokens, refilled_at = excluded.refilled_at, max_per_worker = excluded.max_per_worker, labels = excluded.labels;

-- QueueStatements.last_start()
SELECT coalesce(max(steps.started_at), 0) AS coalesce_1
FROM steps
WHERE steps.status = 'running';

-- QueueStatements.lock(names, kinds)
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues
WHERE queues.name IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = queues.name AND steps.kind IN (SELECT anon_2.value
FROM json_each(?) AS anon_2))) ORDER BY queues.name;

-- QueueStatements.put_meta(name, value)
INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- QueueStatements.ready(queue)
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'ready' AND steps.queue = ?;

-- QueueStatements.running(queue)
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'running' AND steps.queue = ?;

-- QueueStatements.running_here(queue, worker)
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'running' AND steps.queue = ? AND steps.worker = ?;

-- QueueStatements.spend(tokens, now, name)
UPDATE queues SET tokens=?, refilled_at=? WHERE queues.name = ?;

-- QueueStatements.try_lock(names, kinds)
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues
WHERE queues.name IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = queues.name AND steps.kind IN (SELECT anon_2.value
FROM json_each(?) AS anon_2))) ORDER BY queues.name;

-- QueueStatements.wanted(names, kinds)
SELECT queues.name, queues.max_in_flight, queues.rate_limit, queues.rate_period, queues.burst, queues.tokens, queues.refilled_at, queues.max_per_worker, queues.labels
FROM queues
WHERE queues.name IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND (EXISTS (SELECT *
FROM steps
WHERE steps.status = 'ready' AND steps.queue = queues.name AND steps.kind IN (SELECT anon_2.value
FROM json_each(?) AS anon_2))) ORDER BY queues.name;

-- ReadStatements.artifact(artifact_id)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at, artifacts.body
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.artifact_id = ?;

-- ReadStatements.collections(package)
SELECT records.collection, count(*) AS count_1
FROM records
WHERE records.package = ? GROUP BY records.collection ORDER BY records.collection;

-- ReadStatements.count_dependencies(keys)
SELECT dependencies.step, count(*) AS count_1
FROM dependencies
WHERE dependencies.step IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) GROUP BY dependencies.step;

-- ReadStatements.dependency_values(key)
SELECT steps.step_id, steps.kind, steps.status, results.value
FROM dependencies JOIN steps ON steps.id = dependencies.needs LEFT OUTER JOIN results ON results.step = steps.id
WHERE dependencies.step = ? ORDER BY steps.id;

-- ReadStatements.edges(run_key)
SELECT steps.step_id, target.step_id AS step_id_1, dependencies.condition, dependencies.subtree
FROM dependencies JOIN steps ON steps.id = dependencies.step JOIN steps AS target ON target.id = dependencies.needs
WHERE steps.run_key = ? ORDER BY dependencies.step, dependencies.needs;

-- ReadStatements.emitted(key)
SELECT steps.step_id
FROM steps
WHERE steps.parent = ? AND steps.parent IS NOT NULL ORDER BY steps.id;

-- ReadStatements.events(key, after, most)
SELECT events.seq, events.type, events.at, steps.step_id, events.attempt, events.worker, events.data
FROM events LEFT OUTER JOIN steps ON steps.id = events.step
WHERE events.run_key = ? AND events.seq > ? ORDER BY events.seq
 LIMIT ? OFFSET 0;

-- ReadStatements.last_event(key, type)
SELECT events.seq, events.type, events.at, steps.step_id, events.attempt, events.worker, events.data
FROM events LEFT OUTER JOIN steps ON steps.id = events.step
WHERE events.run_key = ? AND events.type = ? ORDER BY events.seq DESC
 LIMIT 1 OFFSET 0;

-- ReadStatements.last_event_of(key, type, step)
SELECT events.seq, events.type, events.at, steps.step_id, events.attempt, events.worker, events.data
FROM events LEFT OUTER JOIN steps ON steps.id = events.step
WHERE events.run_key = ? AND events.type = ? AND events.step = ? ORDER BY events.seq DESC
 LIMIT 1 OFFSET 0;

-- ReadStatements.many_values(keys)
SELECT dependencies.step, steps.step_id, steps.kind, steps.status, results.value
FROM dependencies JOIN steps ON steps.id = dependencies.needs LEFT OUTER JOIN results ON results.step = steps.id
WHERE dependencies.step IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) ORDER BY steps.id;

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
 LIMIT 500 OFFSET 0;

-- ReadStatements.record(package, collection, key)
SELECT records."key", records.value, coalesce(runs.run_id, '') AS coalesce_1, coalesce(steps.step_id, '') AS coalesce_2, records.updated_at
FROM records LEFT OUTER JOIN steps ON steps.id = records.step LEFT OUTER JOIN runs ON runs.id = steps.run_key
WHERE records.package = ? AND records.collection = ? AND records."key" = ?;

-- ReadStatements.records(package, collection)
SELECT records."key", records.value, coalesce(runs.run_id, '') AS coalesce_1, coalesce(steps.step_id, '') AS coalesce_2, records.updated_at
FROM records LEFT OUTER JOIN steps ON steps.id = records.step LEFT OUTER JOIN runs ON runs.id = steps.run_key
WHERE records.package = ? AND records.collection = ? ORDER BY records."key";

-- ReadStatements.result(key)
SELECT steps.status, steps.error, steps.ended_at, results.value, results.records
FROM steps LEFT OUTER JOIN results ON results.step = steps.id
WHERE steps.id = ?;

-- ReadStatements.result_and_more(run_id, step_id)
SELECT steps.status, steps.error, steps.ended_at, results.value, results.records, EXISTS (SELECT *
FROM artifacts
WHERE artifacts.step = steps.id) AS anon_1, EXISTS (SELECT *
FROM steps AS children
WHERE children.parent = steps.id AND children.parent IS NOT NULL) AS anon_2
FROM steps LEFT OUTER JOIN results ON results.step = steps.id JOIN runs ON runs.id = steps.run_key
WHERE runs.run_id = ? AND steps.step_id = ?;

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
WHERE runs.run_id = ?;

-- ReadStatements.run_artifacts(key)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.run_key = ? ORDER BY artifacts.id;

-- ReadStatements.run_counts(key)
SELECT runs.total_steps, runs.open_steps
FROM runs
WHERE runs.id = ?;

-- ReadStatements.run_key(run_id)
SELECT runs.id, runs.status
FROM runs
WHERE runs.run_id = ?;

-- ReadStatements.run_names(keys)
SELECT runs.id, runs.run_id
FROM runs
WHERE runs.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- ReadStatements.running()
SELECT count(*) AS count_1
FROM steps
WHERE steps.status = 'running';

-- ReadStatements.running_steps(key)
SELECT steps.step_id
FROM steps
WHERE steps.status = 'running' AND steps.run_key + 0 = ? ORDER BY steps.started_at, steps.id
 LIMIT 1000 OFFSET 0;

-- ReadStatements.runs_by_status()
SELECT runs.status, count(*) AS count_1
FROM runs GROUP BY runs.status;

-- ReadStatements.some_steps(run_key)
SELECT steps.step_id
FROM steps
WHERE steps.run_key = ? ORDER BY steps.id DESC
 LIMIT 2000 OFFSET 0;

-- ReadStatements.statuses(run_ids)
SELECT runs.run_id, runs.status
FROM runs
WHERE runs.run_id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- ReadStatements.step(key)
SELECT steps.step_id, runs.run_id, steps.kind, steps.queue, steps.status, steps.priority, steps.input, steps.metadata, steps.attempt, steps.failures, steps.max_attempts, steps.pending, steps.dedup_key, coalesce(steps.site, runs.package) AS coalesce_1, (SELECT parent_step.step_id
FROM steps AS parent_step
WHERE parent_step.id = steps.parent) AS anon_1, steps.allow_failure, steps.timeout, steps.worker, steps.error, steps.created_at, steps.ready_at, steps.started_at, steps.ended_at, steps.wait, steps.wake_at, steps.wait_left, steps.held
FROM steps JOIN runs ON runs.id = steps.run_key
WHERE steps.id = ?;

-- ReadStatements.step_artifacts(key)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.step = ? ORDER BY artifacts.id;

-- ReadStatements.step_key(run_key, step_id)
SELECT steps.id, steps.step_id, steps.status, steps.error
FROM steps
WHERE steps.run_key = ? AND steps.step_id = ?;

-- ReadStatements.step_names(keys)
SELECT steps.id, steps.step_id
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- ReadStatements.stored_artifacts(after, most)
SELECT artifacts.artifact_id, runs.run_id, steps.step_id, artifacts.name, artifacts.kind, artifacts.content_type, artifacts.size, artifacts.sha256, artifacts.uri, artifacts.metadata, artifacts.created_at
FROM artifacts JOIN runs ON runs.id = artifacts.run_key JOIN steps ON steps.id = artifacts.step
WHERE artifacts.uri IS NOT NULL AND artifacts.artifact_id > ? ORDER BY artifacts.artifact_id
 LIMIT ? OFFSET 0;

-- ReadStatements.unsuccessful_counts(key)
SELECT steps.status, count(*) AS count_1
FROM steps
WHERE steps.run_key = ? AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') GROUP BY steps.status;

-- ReadStatements.workers()
SELECT workers.id, workers.host, workers.pid, workers.version, workers.queues, workers.started_at, workers.seen_at, workers.kinds, workers.labels
FROM workers ORDER BY workers.id;

-- RepeatStatements.add(emitter, step)
INSERT INTO repeats (emitter, step) VALUES (?, ?);

-- RepeatStatements.add.several(emitter_0, step_0, emitter_1, step_1, emitter_2, step_2, emitter_3, step_3, emitter_4, step_4, emitter_5, step_5, emitter_6, step_6, emitter_7, step_7)
INSERT INTO repeats (emitter, step) VALUES (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?);

-- RepeatStatements.edges(keys, step)
SELECT dependencies.needs, dependencies.subtree
FROM dependencies
WHERE dependencies.needs IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND dependencies.step = ?;

-- RepeatStatements.of(keys)
SELECT repeats.step
FROM repeats
WHERE repeats.emitter IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- RepeatStatements.widen(keys, step)
UPDATE dependencies SET subtree=1 WHERE dependencies.needs IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND dependencies.step = ?;

-- SettleStatements.add_artifacts(artifact_id, run_key, step, name, kind, content_type, metadata, size, sha256, uri, body, created_at)
INSERT INTO artifacts (artifact_id, run_key, step, name, kind, content_type, metadata, size, sha256, uri, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- SettleStatements.add_artifacts.several(artifact_id_0, run_key_0, step_0, name_0, kind_0, content_type_0, metadata_0, size_0, sha256_0, uri_0, body_0, created_at_0, artifact_id_1, run_key_1, step_1, name_1, kind_1, content_type_1, metadata_1, size_1, sha256_1, uri_1, body_1, created_at_1, artifact_id_2, run_key_2, step_2, name_2, kind_2, content_type_2, metadata_2, size_2, sha256_2, uri_2, body_2, created_at_2, artifact_id_3, run_key_3, step_3, name_3, kind_3, content_type_3, metadata_3, size_3, sha256_3, uri_3, body_3, created_at_3, artifact_id_4, run_key_4, step_4, name_4, kind_4, content_type_4, metadata_4, size_4, sha256_4, uri_4, body_4, created_at_4, artifact_id_5, run_key_5, step_5, name_5, kind_5, content_type_5, metadata_5, size_5, sha256_5, uri_5, body_5, created_at_5, artifact_id_6, run_key_6, step_6, name_6, kind_6, content_type_6, metadata_6, size_6, sha256_6, uri_6, body_6, created_at_6, artifact_id_7, run_key_7, step_7, name_7, kind_7, content_type_7, metadata_7, size_7, sha256_7, uri_7, body_7, created_at_7)
INSERT INTO artifacts (artifact_id, run_key, step, name, kind, content_type, metadata, size, sha256, uri, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- SettleStatements.add_edges(needs, step, condition, subtree)
INSERT INTO dependencies (needs, step, condition, subtree) VALUES (?, ?, ?, ?);

-- SettleStatements.add_edges.several(needs_0, step_0, condition_0, subtree_0, needs_1, step_1, condition_1, subtree_1, needs_2, step_2, condition_2, subtree_2, needs_3, step_3, condition_3, subtree_3, needs_4, step_4, condition_4, subtree_4, needs_5, step_5, condition_5, subtree_5, needs_6, step_6, condition_6, subtree_6, needs_7, step_7, condition_7, subtree_7)
INSERT INTO dependencies (needs, step, condition, subtree) VALUES (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?);

-- SettleStatements.add_results(step, value, records, committed_at)
INSERT INTO results (step, value, records, committed_at) VALUES (?, ?, ?, ?);

-- SettleStatements.add_results.several(step_0, value_0, records_0, committed_at_0, step_1, value_1, records_1, committed_at_1, step_2, value_2, records_2, committed_at_2, step_3, value_3, records_3, committed_at_3, step_4, value_4, records_4, committed_at_4, step_5, value_5, records_5, committed_at_5, step_6, value_6, records_6, committed_at_6, step_7, value_7, records_7, committed_at_7)
INSERT INTO results (step, value, records, committed_at) VALUES (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?);

-- SettleStatements.add_steps(id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries)
INSERT INTO steps (id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- SettleStatements.add_steps.several(id_0, run_key_0, step_id_0, kind_0, queue_0, status_0, priority_0, ready_at_0, pending_0, attempt_0, failures_0, lost_leases_0, max_attempts_0, timeout_0, retry_0, allow_failure_0, input_0, metadata_0, dedup_key_0, site_0, parent_0, token_0, created_at_0, max_recoveries_0, id_1, run_key_1, step_id_1, kind_1, queue_1, status_1, priority_1, ready_at_1, pending_1, attempt_1, failures_1, lost_leases_1, max_attempts_1, timeout_1, retry_1, allow_failure_1, input_1, metadata_1, dedup_key_1, site_1, parent_1, token_1, created_at_1, max_recoveries_1, id_2, run_key_2, step_id_2, kind_2, queue_2, status_2, priority_2, ready_at_2, pending_2, attempt_2, failures_2, lost_leases_2, max_attempts_2, timeout_2, retry_2, allow_failure_2, input_2, metadata_2, dedup_key_2, site_2, parent_2, token_2, created_at_2, max_recoveries_2, id_3, run_key_3, step_id_3, kind_3, queue_3, status_3, priority_3, ready_at_3, pending_3, attempt_3, failures_3, lost_leases_3, max_attempts_3, timeout_3, retry_3, allow_failure_3, input_3, metadata_3, dedup_key_3, site_3, parent_3, token_3, created_at_3, max_recoveries_3, id_4, run_key_4, step_id_4, kind_4, queue_4, status_4, priority_4, ready_at_4, pending_4, attempt_4, failures_4, lost_leases_4, max_attempts_4, timeout_4, retry_4, allow_failure_4, input_4, metadata_4, dedup_key_4, site_4, parent_4, token_4, created_at_4, max_recoveries_4, id_5, run_key_5, step_id_5, kind_5, queue_5, status_5, priority_5, ready_at_5, pending_5, attempt_5, failures_5, lost_leases_5, max_attempts_5, timeout_5, retry_5, allow_failure_5, input_5, metadata_5, dedup_key_5, site_5, parent_5, token_5, created_at_5, max_recoveries_5, id_6, run_key_6, step_id_6, kind_6, queue_6, status_6, priority_6, ready_at_6, pending_6, attempt_6, failures_6, lost_leases_6, max_attempts_6, timeout_6, retry_6, allow_failure_6, input_6, metadata_6, dedup_key_6, site_6, parent_6, token_6, created_at_6, max_recoveries_6, id_7, run_key_7, step_id_7, kind_7, queue_7, status_7, priority_7, ready_at_7, pending_7, attempt_7, failures_7, lost_leases_7, max_attempts_7, timeout_7, retry_7, allow_failure_7, input_7, metadata_7, dedup_key_7, site_7, parent_7, token_7, created_at_7, max_recoveries_7)
INSERT INTO steps (id, run_key, step_id, kind, queue, status, priority, ready_at, pending, attempt, failures, lost_leases, max_attempts, timeout, retry, allow_failure, input, metadata, dedup_key, site, parent, token, created_at, max_recoveries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- SettleStatements.cancel(now, rows)
UPDATE steps SET status='canceled', error=input.error, cause=input.cause, ended_at=? FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS error, given.value ->> 2 AS cause
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.status = 'pending' RETURNING id, run_key;

-- SettleStatements.clear_artifacts(keys)
DELETE FROM artifacts WHERE artifacts.step IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- SettleStatements.count_down.all(now, rows)
UPDATE steps SET status=CASE WHEN (steps.pending - input.count = 0) THEN 'ready' ELSE steps.status END, ready_at=CASE WHEN (steps.pending - input.count = 0) THEN ? ELSE steps.ready_at END, pending=(steps.pending - input.count) FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS count
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND coalesce(steps.status, '') = 'pending';

-- SettleStatements.count_down.one(now, id, count)
UPDATE steps SET status=CASE WHEN (steps.pending - ? = 0) THEN 'ready' ELSE steps.status END, ready_at=CASE WHEN (steps.pending - ? = 0) THEN ? ELSE steps.ready_at END, pending=(steps.pending - ?) WHERE steps.id = ? AND coalesce(steps.status, '') = 'pending';

-- SettleStatements.count_up(rows)
UPDATE steps SET pending=(steps.pending + input.count) FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS count
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.status = 'pending';

-- SettleStatements.dependents.all(rows)
SELECT dependencies.step, dependencies.condition, count(*) AS count_1, min(dependencies.needs) AS min_1
FROM dependencies, (SELECT given.value ->> 0 AS "key"
FROM json_each(?) AS given) AS input
WHERE dependencies.needs = input."key" GROUP BY dependencies.step, dependencies.condition;

-- SettleStatements.dependents.one(key)
SELECT dependencies.step, dependencies.condition, count(*) AS count_1, min(dependencies.needs) AS min_1
FROM dependencies
WHERE dependencies.needs = ? GROUP BY dependencies.step, dependencies.condition;

-- SettleStatements.fail.all(now, rows)
UPDATE steps SET status='failed', failures=(steps.failures + 1), expires_at=NULL, error=input.error, ended_at=? FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS token, given.value ->> 2 AS error
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING id;

-- SettleStatements.fail.one(now, id, token, error)
UPDATE steps SET status='failed', failures=(steps.failures + 1), expires_at=NULL, error=?, ended_at=? WHERE steps.id = ? AND steps.token = ? AND coalesce(steps.status, '') = 'running';

-- SettleStatements.hand_on.all(now, worker, expires, suspect_from, kinds, queues, rows)
UPDATE steps SET status='running', ready_at=?, pending=0, attempt=(steps.attempt + 1), worker=?, token=(steps.token + 1), expires_at=?, started_at=? FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS count
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.pending = input.count AND coalesce(steps.status, '') = 'pending' AND instr(?, char(10) || steps.kind || char(10)) > 0 AND instr(?, char(10) || steps.queue || char(10)) > 0 AND steps.lost_leases < ? AND NOT (EXISTS (SELECT *
FROM runs
WHERE runs.id = steps.run_key AND runs.holds > 0)) AND NOT (EXISTS (SELECT *
FROM steps AS other
WHERE other.status = 'ready')) RETURNING priority, ready_at, id, run_key, step_id, kind, queue, input, attempt - 1 AS anon_1, failures, lost_leases, max_attempts, timeout, retry, metadata, dedup_key, site, parent, allow_failure, wait, wake_at, token - 1 AS anon_2, created_at;

-- SettleStatements.hand_on.one(now, worker, expires, suspect_from, kinds, queues, id, count)
UPDATE steps SET status='running', ready_at=?, pending=0, attempt=(steps.attempt + 1), worker=?, token=(steps.token + 1), expires_at=?, started_at=? WHERE steps.id = ? AND steps.pending = ? AND coalesce(steps.status, '') = 'pending' AND instr(?, char(10) || steps.kind || char(10)) > 0 AND instr(?, char(10) || steps.queue || char(10)) > 0 AND steps.lost_leases < ? AND NOT (EXISTS (SELECT *
FROM runs
WHERE runs.id = steps.run_key AND runs.holds > 0)) AND NOT (EXISTS (SELECT *
FROM steps AS other
WHERE other.status = 'ready')) RETURNING priority, ready_at, id, run_key, step_id, kind, queue, input, attempt - 1 AS anon_1, failures, lost_leases, max_attempts, timeout, retry, metadata, dedup_key, site, parent, allow_failure, wait, wake_at, token - 1 AS anon_2, created_at;

-- SettleStatements.names(keys)
SELECT steps.id, steps.step_id, steps.cause, steps.status
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- SettleStatements.put_records(package, collection, key, value, step, updated_at)
INSERT INTO records (package, collection, "key", value, step, updated_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (package, collection, "key") DO UPDATE SET value = excluded.value, step = excluded.step, updated_at = excluded.updated_at;

-- SettleStatements.release.all(rows)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), expires_at=NULL FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS token
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING id;

-- SettleStatements.release.one(id, token)
UPDATE steps SET status='ready', attempt=(steps.attempt - 1), expires_at=NULL WHERE steps.id = ? AND steps.token = ? AND coalesce(steps.status, '') = 'running';

-- SettleStatements.required_below(keys)
WITH RECURSIVE below(step) AS
(SELECT fallen.value AS step
FROM (SELECT anon_1.value AS value
FROM json_each(?) AS anon_1) AS fallen UNION SELECT dependencies.step AS step
FROM dependencies, below
WHERE dependencies.needs = below.step AND dependencies.condition = 'succeeded')
 SELECT below.step
FROM below;

-- SettleStatements.retry.all(rows)
UPDATE steps SET status='ready', ready_at=input.ready_at, failures=(steps.failures + 1), expires_at=NULL, error=input.error, wait=NULL, wake_at=NULL FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS token, given.value ->> 2 AS error, given.value ->> 3 AS ready_at
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING id;

-- SettleStatements.retry.one(id, token, error, ready_at)
UPDATE steps SET status='ready', ready_at=?, failures=(steps.failures + 1), expires_at=NULL, error=?, wait=NULL, wake_at=NULL WHERE steps.id = ? AND steps.token = ? AND coalesce(steps.status, '') = 'running';

-- SettleStatements.skip(now, rows)
UPDATE steps SET status='skipped', error=input.error, cause=input.cause, ended_at=? FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS error, given.value ->> 2 AS cause
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.status = 'pending' RETURNING id, run_key;

-- SettleStatements.status_of(keys)
SELECT steps.id, steps.run_key, steps.status, steps.token
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- SettleStatements.subtree_dependents(keys)
SELECT dependencies.needs, dependencies.step, dependencies.condition
FROM dependencies
WHERE dependencies.needs IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND dependencies.subtree = 1;

-- SettleStatements.succeed.all(now, rows)
UPDATE steps SET status='succeeded', expires_at=NULL, error=NULL, ended_at=? FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS token
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING id;

-- SettleStatements.succeed.one(now, id, token)
UPDATE steps SET status='succeeded', expires_at=NULL, error=NULL, ended_at=? WHERE steps.id = ? AND steps.token = ? AND coalesce(steps.status, '') = 'running';

-- SettleStatements.suspend.all(rows)
UPDATE steps SET status='waiting', attempt=(steps.attempt - 1), expires_at=NULL, wait=input.wait, wait_for=input.wait_for, wake_at=input.wake_at FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS token, given.value ->> 2 AS wait, given.value ->> 3 AS wait_for, given.value ->> 4 AS wake_at
FROM json_each(?) AS given) AS input WHERE steps.id = input.id AND steps.token = input.token AND coalesce(steps.status, '') = 'running' RETURNING id;

-- SettleStatements.suspend.one(id, token, wait, wait_for, wake_at)
UPDATE steps SET status='waiting', attempt=(steps.attempt - 1), expires_at=NULL, wait=?, wait_for=?, wake_at=? WHERE steps.id = ? AND steps.token = ? AND coalesce(steps.status, '') = 'running';

-- StepwiseStatements.add_events(run_key, seq, type, at, step, attempt, worker, data)
INSERT INTO events (run_key, seq, type, at, step, attempt, worker, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- StepwiseStatements.add_events.several(run_key_0, seq_0, type_0, at_0, step_0, attempt_0, worker_0, data_0, run_key_1, seq_1, type_1, at_1, step_1, attempt_1, worker_1, data_1, run_key_2, seq_2, type_2, at_2, step_2, attempt_2, worker_2, data_2, run_key_3, seq_3, type_3, at_3, step_3, attempt_3, worker_3, data_3, run_key_4, seq_4, type_4, at_4, step_4, attempt_4, worker_4, data_4, run_key_5, seq_5, type_5, at_5, step_5, attempt_5, worker_5, data_5, run_key_6, seq_6, type_6, at_6, step_6, attempt_6, worker_6, data_6, run_key_7, seq_7, type_7, at_7, step_7, attempt_7, worker_7, data_7)
INSERT INTO events (run_key, seq, type, at, step, attempt, worker, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?);

-- StepwiseStatements.count.all(rows)
UPDATE runs SET total_steps=(runs.total_steps + input.total), open_steps=(runs.open_steps + input.open), event_seq=(runs.event_seq + input.events) FROM (SELECT given.value ->> 0 AS id, given.value ->> 1 AS total, given.value ->> 2 AS open, given.value ->> 3 AS events
FROM json_each(?) AS given) AS input WHERE runs.id = input.id RETURNING id, open_steps, event_seq, status, holds;

-- StepwiseStatements.count.one(id, total, open, events)
UPDATE runs SET total_steps=(runs.total_steps + ?), open_steps=(runs.open_steps + ?), event_seq=(runs.event_seq + ?) WHERE runs.id = ? RETURNING id, open_steps, event_seq, status, holds;

-- StepwiseStatements.end_runs(now, keys)
UPDATE runs SET status=CASE WHEN (runs.error IS NOT NULL) THEN 'failed' WHEN (EXISTS (SELECT *
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'canceled' AND steps.cause IS NULL)) THEN 'canceled' WHEN (EXISTS (SELECT *
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'failed' AND steps.allow_failure = 0 AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id AND dependencies.condition = 'failed')))) THEN 'failed' ELSE 'succeeded' END, ended_at=?, holds=(runs.holds - CASE WHEN (runs.status = 'paused') THEN 1 ELSE 0 END), error_step=(SELECT steps.id
FROM steps
WHERE steps.run_key = runs.id AND (steps.status = 'canceled' OR steps.status = 'failed' OR steps.status = 'skipped') AND steps.status = 'failed' AND steps.allow_failure = 0 AND NOT (EXISTS (SELECT *
FROM dependencies
WHERE dependencies.needs = steps.id AND dependencies.condition = 'failed')) ORDER BY steps.ended_at, steps.id
 LIMIT 1 OFFSET 0) WHERE runs.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND (runs.status NOT IN ('canceled', 'failed', 'succeeded')) RETURNING id, run_id, status;

-- ValueStatements.add(run_key, key, seq, value, step, operation, at)
INSERT INTO "values" (run_key, "key", seq, value, step, operation, at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- ValueStatements.add.several(run_key_0, key_0, seq_0, value_0, step_0, operation_0, at_0, run_key_1, key_1, seq_1, value_1, step_1, operation_1, at_1, run_key_2, key_2, seq_2, value_2, step_2, operation_2, at_2, run_key_3, key_3, seq_3, value_3, step_3, operation_3, at_3, run_key_4, key_4, seq_4, value_4, step_4, operation_4, at_4, run_key_5, key_5, seq_5, value_5, step_5, operation_5, at_5, run_key_6, key_6, seq_6, value_6, step_6, operation_6, at_6, run_key_7, key_7, seq_7, value_7, step_7, operation_7, at_7)
INSERT INTO "values" (run_key, "key", seq, value, step, operation, at) VALUES (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?);

-- ValueStatements.history(run_key, key, most)
SELECT "values".seq, "values".value, steps.step_id, "values".at
FROM "values" JOIN steps ON steps.id = "values".step
WHERE "values".run_key = ? AND "values"."key" = ? ORDER BY "values".seq DESC
 LIMIT ? OFFSET 0;

-- ValueStatements.last_number(run_key, key)
SELECT coalesce(max("values".seq), 0) AS coalesce_1
FROM "values"
WHERE "values".run_key = ? AND "values"."key" = ?;

-- ValueStatements.last_of_each(run_key)
SELECT "values"."key", "values".seq, "values".value, steps.step_id, "values".at
FROM (SELECT "values"."key" AS "key", max("values".seq) AS seq
FROM "values"
WHERE "values".run_key = ? GROUP BY "values"."key") AS newest JOIN "values" ON "values"."key" = newest."key" AND "values".seq = newest.seq JOIN steps ON steps.id = "values".step
WHERE "values".run_key = ? ORDER BY "values"."key";

-- ValueStatements.set_by(step, operation)
SELECT "values"."key", "values".value
FROM "values"
WHERE "values".step = ? AND "values".operation = ?;

-- ValueStatements.waiting_runs(name)
SELECT steps.run_key
FROM steps
WHERE steps.status = 'waiting' AND steps.wait_for = ? UNION SELECT steps.run_key
FROM waits JOIN steps ON steps.id = waits.step
WHERE waits.name = ?;

-- WakingStatements.find_one(name)
SELECT steps.id, steps.wait_for, 0
FROM steps
WHERE steps.status = 'waiting' AND steps.wait_for = ? UNION ALL SELECT waits.step, waits.name, 1
FROM waits
WHERE waits.name = ?;

-- WakingStatements.find_waiting(names)
SELECT steps.id, steps.wait_for, 0
FROM steps
WHERE steps.status = 'waiting' AND steps.wait_for IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) UNION ALL SELECT waits.step, waits.name, 1
FROM waits
WHERE waits.name IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- WakingStatements.wake_steps(now, keys)
UPDATE steps SET status='ready', ready_at=?, wait_for=NULL WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND coalesce(steps.status, '') = 'waiting' RETURNING id, run_key, attempt;

-- WorkerStatements.drop(id)
DELETE FROM workers WHERE workers.id = ?;

-- WorkerStatements.drop_silent(before)
DELETE FROM workers WHERE workers.id IN (SELECT workers.id
FROM workers
WHERE workers.seen_at < ?);

-- WorkerStatements.put(id, host, pid, version, queues, started_at, seen_at, kinds, labels)
INSERT INTO workers (id, host, pid, version, queues, started_at, seen_at, kinds, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, version = excluded.version, queues = excluded.queues, started_at = excluded.started_at, seen_at = excluded.seen_at, kinds = excluded.kinds, labels = excluded.labels;

-- _SideBySideStatements.add(step, name)
INSERT INTO waits (step, name) VALUES (?, ?);

-- _SideBySideStatements.add.several(step_0, name_0, step_1, name_1, step_2, name_2, step_3, name_3, step_4, name_4, step_5, name_5, step_6, name_6, step_7, name_7)
INSERT INTO waits (step, name) VALUES (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?);

-- _SideBySideStatements.forget(keys)
DELETE FROM waits WHERE waits.step IN (SELECT anon_1.value
FROM json_each(?) AS anon_1);

-- _SideBySideStatements.lock_runs(keys)
SELECT runs.id
FROM runs
WHERE runs.id IN (SELECT steps.run_key
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1)) ORDER BY runs.id;

-- _SideBySideStatements.standing(keys)
SELECT steps.id, steps.run_key, steps.wait, steps.wake_at
FROM steps
WHERE steps.id IN (SELECT anon_1.value
FROM json_each(?) AS anon_1) AND coalesce(steps.status, '') = 'waiting' ORDER BY steps.id;

-- _SideBySideStatements.wait_on(wait, wake_at, step)
UPDATE steps SET wait=?, wake_at=? WHERE steps.id = ?;
