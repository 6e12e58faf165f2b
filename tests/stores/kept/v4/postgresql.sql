CREATE TABLE public.artifacts (
    id bigint NOT NULL,
    artifact_id text NOT NULL,
    run_key bigint NOT NULL,
    step bigint NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    content_type text NOT NULL,
    metadata text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    uri text,
    body bytea,
    created_at bigint NOT NULL,
    CONSTRAINT artifacts_check CHECK (((uri IS NULL) <> (body IS NULL)))
);
ALTER TABLE public.artifacts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.artifacts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.checkpoint_operations (
    execution_id text NOT NULL,
    seq bigint NOT NULL,
    operation_id text NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.checkpoints (
    execution_id text NOT NULL,
    head text NOT NULL,
    pause_requested bigint DEFAULT 0 NOT NULL,
    pause_reason text DEFAULT ''::text NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.dependencies (
    needs bigint NOT NULL,
    step bigint NOT NULL,
    condition text NOT NULL,
    subtree bigint NOT NULL,
    CONSTRAINT dependencies_check CHECK ((needs <> step)),
    CONSTRAINT dependencies_condition_check CHECK (((condition = 'succeeded'::text) OR (condition = 'finished'::text) OR (condition = 'failed'::text)))
);
CREATE TABLE public.events (
    run_key bigint NOT NULL,
    seq bigint NOT NULL,
    type text NOT NULL,
    at bigint NOT NULL,
    step bigint,
    attempt bigint,
    worker text,
    data text
);
CREATE TABLE public.kv (
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    updated_at bigint NOT NULL
);
CREATE TABLE public.messages (
    id bigint NOT NULL,
    run_key bigint NOT NULL,
    topic text NOT NULL,
    payload text NOT NULL,
    key text,
    sender text,
    receiver bigint,
    operation text,
    created_at bigint NOT NULL,
    CONSTRAINT messages_check CHECK (((receiver IS NULL) = (operation IS NULL)))
);
ALTER TABLE public.messages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.meta (
    name text NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE public.queues (
    name text NOT NULL,
    max_in_flight bigint,
    rate_limit double precision,
    rate_period bigint NOT NULL,
    burst bigint,
    tokens double precision,
    refilled_at bigint NOT NULL,
    max_per_worker bigint,
    labels text NOT NULL,
    CONSTRAINT queues_max_in_flight_check CHECK ((max_in_flight > 0)),
    CONSTRAINT queues_max_per_worker_check CHECK ((max_per_worker > 0)),
    CONSTRAINT queues_rate_limit_check CHECK ((rate_limit > (0)::double precision))
);
CREATE TABLE public.records (
    package text NOT NULL,
    collection text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    step bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.repeats (
    emitter bigint NOT NULL,
    step bigint NOT NULL
);
CREATE TABLE public.results (
    step bigint NOT NULL,
    value text NOT NULL,
    records text,
    committed_at bigint NOT NULL
);
CREATE TABLE public.runs (
    id bigint NOT NULL,
    run_id text NOT NULL,
    package text NOT NULL,
    entrypoint text NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    input text NOT NULL,
    metadata text NOT NULL,
    tags text NOT NULL,
    total_steps bigint NOT NULL,
    open_steps bigint NOT NULL,
    event_seq bigint NOT NULL,
    parent_run bigint,
    parent_step bigint,
    created_at bigint NOT NULL,
    started_at bigint,
    ended_at bigint,
    holds bigint DEFAULT 0 NOT NULL,
    queue text,
    priority bigint,
    partition_key text,
    version text,
    summary text,
    dedup_key text,
    dedup_for bigint,
    replaced bigint,
    start_at bigint,
    start_by bigint,
    timeout bigint,
    timeout_from bigint,
    paused_at bigint,
    deadline bigint,
    error_step bigint,
    error text,
    label text,
    colour text,
    forked_from bigint,
    CONSTRAINT runs_dedup_for_check CHECK ((dedup_for > 0)),
    CONSTRAINT runs_holds_check CHECK ((holds >= 0)),
    CONSTRAINT runs_open_steps_check CHECK ((open_steps >= 0)),
    CONSTRAINT runs_replaced_check CHECK ((replaced > 0)),
    CONSTRAINT runs_status_check CHECK (((status = 'running'::text) OR (status = 'succeeded'::text) OR (status = 'pending'::text) OR (status = 'paused'::text) OR (status = 'failed'::text) OR (status = 'canceled'::text))),
    CONSTRAINT runs_timeout_check CHECK ((timeout > 0))
);
CREATE TABLE public.steps (
    id bigint NOT NULL,
    run_key bigint NOT NULL,
    step_id text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    status text NOT NULL,
    priority bigint NOT NULL,
    ready_at bigint NOT NULL,
    pending bigint NOT NULL,
    attempt bigint NOT NULL,
    failures bigint NOT NULL,
    lost_leases bigint NOT NULL,
    max_attempts bigint NOT NULL,
    timeout bigint,
    retry text,
    allow_failure bigint NOT NULL,
    input text NOT NULL,
    metadata text,
    dedup_key text,
    site text,
    parent bigint,
    worker text,
    token bigint NOT NULL,
    expires_at bigint,
    error text,
    cause bigint,
    wait text,
    wait_for text,
    wake_at bigint,
    created_at bigint NOT NULL,
    started_at bigint,
    ended_at bigint,
    wait_left bigint,
    held bigint DEFAULT 0 NOT NULL,
    max_recoveries bigint,
    CONSTRAINT steps_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT steps_check CHECK (((status = 'running'::text) = (expires_at IS NOT NULL))),
    CONSTRAINT steps_check1 CHECK (((status <> 'ready'::text) OR (pending = 0))),
    CONSTRAINT steps_failures_check CHECK ((failures >= 0)),
    CONSTRAINT steps_held_check CHECK ((held = ANY (ARRAY[(0)::bigint, (1)::bigint]))),
    CONSTRAINT steps_lost_leases_check CHECK ((lost_leases >= 0)),
    CONSTRAINT steps_max_recoveries_check CHECK ((max_recoveries >= 0)),
    CONSTRAINT steps_pending_check CHECK ((pending >= 0)),
    CONSTRAINT steps_status_check CHECK (((status = 'running'::text) OR (status = 'succeeded'::text) OR (status = 'ready'::text) OR (status = 'pending'::text) OR (status = 'waiting'::text) OR (status = 'held'::text) OR (status = 'canceled'::text) OR (status = 'failed'::text) OR (status = 'skipped'::text)))
);
CREATE TABLE public."values" (
    run_key bigint NOT NULL,
    key text NOT NULL,
    seq bigint NOT NULL,
    value text NOT NULL,
    step bigint NOT NULL,
    operation text NOT NULL,
    at bigint NOT NULL
);
CREATE TABLE public.waits (
    step bigint NOT NULL,
    name text NOT NULL
);
CREATE TABLE public.workers (
    id text NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    version text NOT NULL,
    queues text,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    kinds text NOT NULL,
    labels text NOT NULL
);
INSERT INTO public.artifacts OVERRIDING SYSTEM VALUE VALUES (1, 'a0epkrv01fm3xkkagmtk8', 1, 1, 'note.txt', 'file', 'application/octet-stream', '{}', 8, 'd8f94059b5d089533d091505644c27fb8f8da13a418faa76c479547b15e8cf5d', NULL, '\x697420697320310a', 1796131228208503);
INSERT INTO public.artifacts OVERRIDING SYSTEM VALUE VALUES (2, 'a1qr0kjwdcm9ta2z570b4', 1, 2, 'note.txt', 'file', 'application/octet-stream', '{}', 8, '23f447644bce396857b75a0d44bb83b839506ce715e2e43a88289df6c26e5a10', NULL, '\x697420697320320a', 1796131228279639);
INSERT INTO public.artifacts OVERRIDING SYSTEM VALUE VALUES (3, 'a1jycq2nghkaz2jzwmskw', 1, 7, 'note.txt', 'file', 'application/octet-stream', '{}', 8, 'd8f94059b5d089533d091505644c27fb8f8da13a418faa76c479547b15e8cf5d', NULL, '\x697420697320310a', 1796131228279639);
INSERT INTO public.artifacts OVERRIDING SYSTEM VALUE VALUES (4, 'a10snpd1ebckhfhhjzvba', 1, 6, 'note.txt', 'file', 'application/octet-stream', '{}', 8, 'cc2d2c95c0ee57dc4373ab32c6bf8761d940f39ed88967a314de374f7e5a2f1f', NULL, '\x697420697320300a', 1796131228324022);
INSERT INTO public.artifacts OVERRIDING SYSTEM VALUE VALUES (5, 'a187amkz9z5x8jr33g3z6', 1, 4, 'note.txt', 'file', 'application/octet-stream', '{}', 10, '8cd6c23f2f7033cc47ab12546ed48fb30dbc0ca7c582d2fd4aa554e230a9bc7e', NULL, '\x6974206973203130300a', 1796131228324022);
INSERT INTO public.artifacts OVERRIDING SYSTEM VALUE VALUES (6, 'a0q1ky7t17m1m24kt3924', 1, 5, 'note.txt', 'file', 'application/octet-stream', '{}', 11, 'd6ccce1ce6acb6d31f0e3a04eb544c92a2c78c5a95628716d68038e7e9230569', NULL, '\x697420697320313030300a', 1796131228335470);
INSERT INTO public.checkpoint_operations VALUES ('talking/talk', 1, 'first', '{"name":"first","occurrence":1,"key":null,"kind":"do","digest":"","value":"recorded by the code that made the store","error":null,"attempts":1,"started":"2026-12-01T13:20:28.436586Z","ended":"2026-12-01T13:20:28.436661Z","open":false}');
INSERT INTO public.checkpoint_operations VALUES ('talking/talk', 2, 'set_value', '{"name":"set_value","occurrence":1,"key":null,"kind":"set_value","digest":"cf4c582c5d6cc227d069710bedec12d37d7c7935a7fb0fcf7d8a4b2a4e64623e","value":null,"error":null,"attempts":1,"started":"2026-12-01T13:20:28.530609Z","ended":"2026-12-01T13:20:28.530609Z","open":false}');
INSERT INTO public.checkpoint_operations VALUES ('failed.child.1/talk', 1, 'first', '{"name":"first","occurrence":1,"key":null,"kind":"do","digest":"","value":"recorded by the code that made the store","error":null,"attempts":1,"started":"2026-12-01T13:20:28.578337Z","ended":"2026-12-01T13:20:28.578393Z","open":false}');
INSERT INTO public.checkpoint_operations VALUES ('failed.child.1/talk', 2, 'set_value', '{"name":"set_value","occurrence":1,"key":null,"kind":"set_value","digest":"cf4c582c5d6cc227d069710bedec12d37d7c7935a7fb0fcf7d8a4b2a4e64623e","value":null,"error":null,"attempts":1,"started":"2026-12-01T13:20:28.585964Z","ended":"2026-12-01T13:20:28.585964Z","open":false}');
INSERT INTO public.checkpoints VALUES ('other/publish', '{"schema_version":1,"id":"other/publish","execution_id":"other/publish","run_id":"other","step_id":"publish","status":"waiting","inputs":null,"variables":{},"wait":{"kind":"message","operation":"receive","topic":"go","wake_at":null,"remaining":null},"error":null,"start_time":"2026-12-01T13:20:28.416098Z","end_time":null,"checkpoint_at":"2026-12-01T13:20:28.458143Z","elsewhere":""}', 0, '', 1796131228509631);
INSERT INTO public.checkpoints VALUES ('talking/talk', '{"schema_version":1,"id":"talking/talk","execution_id":"talking/talk","run_id":"talking","step_id":"talk","status":"waiting","inputs":null,"variables":{},"wait":{"kind":"message","operation":"receive","topic":"answers","wake_at":null,"remaining":null},"error":null,"start_time":"2026-12-01T13:20:28.416098Z","end_time":null,"checkpoint_at":"2026-12-01T13:20:28.551492Z","elsewhere":""}', 0, '', 1796131228551807);
INSERT INTO public.checkpoints VALUES ('failed.child.1/talk', '{"schema_version":1,"id":"failed.child.1/talk","execution_id":"failed.child.1/talk","run_id":"failed.child.1","step_id":"talk","status":"waiting","inputs":null,"variables":{},"wait":{"kind":"message","operation":"receive","topic":"answers","wake_at":null,"remaining":null},"error":null,"start_time":"2026-12-01T13:20:28.572731Z","end_time":null,"checkpoint_at":"2026-12-01T13:20:28.588573Z","elsewhere":""}', 0, '', 1796131228588898);
INSERT INTO public.dependencies VALUES (1, 4, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (2, 4, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (3, 5, 'succeeded', 1);
INSERT INTO public.dependencies VALUES (6, 5, 'succeeded', 1);
INSERT INTO public.dependencies VALUES (7, 5, 'succeeded', 1);
INSERT INTO public.dependencies VALUES (11, 12, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (15, 18, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (16, 18, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (17, 19, 'succeeded', 1);
INSERT INTO public.dependencies VALUES (20, 22, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (21, 23, 'succeeded', 1);
INSERT INTO public.dependencies VALUES (24, 26, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (25, 27, 'succeeded', 1);
INSERT INTO public.dependencies VALUES (28, 30, 'succeeded', 0);
INSERT INTO public.dependencies VALUES (29, 31, 'succeeded', 1);
INSERT INTO public.events VALUES (1, 1, 'run.created', 1796131228115559, NULL, NULL, NULL, '{"steps":5,"package":"kept"}');
INSERT INTO public.events VALUES (1, 2, 'run.started', 1796131228149855, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (1, 3, 'step.succeeded', 1796131228208503, 3, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 4, 'step.succeeded', 1796131228208503, 1, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 5, 'step.succeeded', 1796131228279639, 2, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 6, 'step.succeeded', 1796131228279639, 7, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 7, 'step.succeeded', 1796131228324022, 6, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 8, 'step.succeeded', 1796131228324022, 4, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 9, 'step.succeeded', 1796131228335470, 5, 1, NULL, NULL);
INSERT INTO public.events VALUES (1, 10, 'run.succeeded', 1796131228335470, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (2, 1, 'run.created', 1796131228366420, NULL, NULL, NULL, '{"steps":1,"package":"kept"}');
INSERT INTO public.events VALUES (3, 1, 'run.created', 1796131228382569, NULL, NULL, NULL, '{"steps":2,"package":"kept"}');
INSERT INTO public.events VALUES (4, 1, 'run.created', 1796131228384501, NULL, NULL, NULL, '{"steps":3,"package":"kept"}');
INSERT INTO public.events VALUES (4, 2, 'run.started', 1796131228416098, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (2, 2, 'run.started', 1796131228416098, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (3, 2, 'run.started', 1796131228416098, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (5, 1, 'run.created', 1796131228458594, NULL, NULL, NULL, '{"steps":1,"package":"kept"}');
INSERT INTO public.events VALUES (3, 3, 'step.waiting', 1796131228458594, 10, 1, NULL, '{"kind":"sleep","operation":"wait","until":"2026-12-01T13:20:29.416098Z"}');
INSERT INTO public.events VALUES (4, 3, 'step.failed', 1796131228458594, 11, 1, NULL, '{"code":"broken","message":"it was broken when the store was made"}');
INSERT INTO public.events VALUES (4, 4, 'step.waiting', 1796131228458594, 13, 1, NULL, '{"kind":"run","run_id":"failed.child.1"}');
INSERT INTO public.events VALUES (4, 5, 'step.canceled', 1796131228458594, 12, NULL, NULL, '{"code":"upstream_failed","step":"fail"}');
INSERT INTO public.events VALUES (2, 3, 'value.set', 1796131228514762, 8, 1, NULL, '{"key":"state","number":1,"operation":"set_value"}');
INSERT INTO public.events VALUES (3, 4, 'step.waiting', 1796131228530473, 9, 1, NULL, '{"kind":"message","operation":"receive","topic":"go"}');
INSERT INTO public.events VALUES (2, 4, 'step.waiting', 1796131228554119, 8, 1, NULL, '{"kind":"message","operation":"receive","topic":"answers"}');
INSERT INTO public.events VALUES (5, 2, 'run.started', 1796131228572731, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (5, 3, 'value.set', 1796131228582080, 14, 1, NULL, '{"key":"state","number":1,"operation":"set_value"}');
INSERT INTO public.events VALUES (5, 4, 'step.waiting', 1796131228590143, 14, 1, NULL, '{"kind":"message","operation":"receive","topic":"answers"}');
INSERT INTO public.events VALUES (2, 5, 'message.sent', 1796131228593777, NULL, NULL, NULL, '{"topic":"answers","key":"first","sender":null}');
INSERT INTO public.events VALUES (2, 6, 'step.woken', 1796131228593777, 8, 0, NULL, '{"topic":"answers"}');
INSERT INTO public.events VALUES (6, 1, 'run.created', 1796131228606142, NULL, NULL, NULL, '{"steps":5,"package":"kept"}');
INSERT INTO public.events VALUES (6, 2, 'run.started', 1796131228607448, NULL, NULL, NULL, NULL);
INSERT INTO public.events VALUES (7, 1, 'run.created', 1796131228612864, NULL, NULL, NULL, '{"steps":4,"package":"kept"}');
INSERT INTO public.events VALUES (8, 1, 'run.created', 1796131228618330, NULL, NULL, NULL, '{"steps":4,"package":"kept"}');
INSERT INTO public.events VALUES (8, 2, 'run.paused', 1796131228619725, NULL, NULL, NULL, '{"by":"operator","reason":"until the new version","steps":2}');
INSERT INTO public.events VALUES (9, 1, 'run.created', 1796131228630036, NULL, NULL, NULL, '{"steps":4,"package":"kept"}');
INSERT INTO public.events VALUES (9, 2, 'step.held', 1796131228639329, 28, NULL, NULL, '{"by":"operator","reason":""}');
INSERT INTO public.kv VALUES ('cursor', '{"at":7}', 1, NULL, 1796131228602111);
INSERT INTO public.messages OVERRIDING SYSTEM VALUE VALUES (1, 2, 'answers', '{"text":"yes €"}', 'first', NULL, NULL, NULL, 1796131228593777);
INSERT INTO public.meta VALUES ('schema_version', 4);
INSERT INTO public.meta VALUES ('limits_set', 1796131228110689);
INSERT INTO public.meta VALUES ('next_run', 10);
INSERT INTO public.meta VALUES ('next_step', 32);
INSERT INTO public.meta VALUES ('control', 4);
INSERT INTO public.queues VALUES ('default', NULL, NULL, 1000000, NULL, NULL, 1796131228099574, NULL, '[]');
INSERT INTO public.queues VALUES ('narrow', 2, NULL, 1000000, NULL, NULL, 1796131228110689, NULL, '[]');
INSERT INTO public.queues VALUES ('slow', NULL, 5, 1000000, 5, NULL, 1796131228110689, NULL, '[]');
INSERT INTO public.records VALUES ('kept', 'sums', 'add:1', '{"sum":1,"text":"€ é"}', 1, 1796131228208503);
INSERT INTO public.records VALUES ('kept', 'sums', 'add:2', '{"sum":2,"text":"€ é"}', 2, 1796131228279639);
INSERT INTO public.records VALUES ('kept', 'sums', 'made:1', '{"sum":1,"text":"€ é"}', 7, 1796131228279639);
INSERT INTO public.records VALUES ('kept', 'sums', 'made:0', '{"sum":0,"text":"€ é"}', 6, 1796131228324022);
INSERT INTO public.records VALUES ('kept', 'sums', 'total', '{"sum":100,"text":"€ é"}', 4, 1796131228324022);
INSERT INTO public.records VALUES ('kept', 'sums', 'after all', '{"sum":1000,"text":"€ é"}', 5, 1796131228335470);
INSERT INTO public.results VALUES (3, '2', NULL, 1796131228208503);
INSERT INTO public.results VALUES (1, '1', '[["sums","add:1"]]', 1796131228208503);
INSERT INTO public.results VALUES (2, '2', '[["sums","add:2"]]', 1796131228279639);
INSERT INTO public.results VALUES (7, '1', '[["sums","made:1"]]', 1796131228279639);
INSERT INTO public.results VALUES (6, '0', '[["sums","made:0"]]', 1796131228324022);
INSERT INTO public.results VALUES (4, '103', '[["sums","total"]]', 1796131228324022);
INSERT INTO public.results VALUES (5, '1003', '[["sums","after all"]]', 1796131228335470);
INSERT INTO public.runs VALUES (1, 'ended', 'kept', 'sum', 'kept', 'succeeded', '[1,2]', '{}', '["old"]', 7, 0, 10, NULL, NULL, 1796131228115559, 1796131228149855, 1796131228335470, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (4, 'failed', 'kept', 'fail', 'kept', 'running', 'null', '{}', '[]', 3, 1, 5, NULL, NULL, 1796131228384501, 1796131228416098, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (3, 'other', 'kept', 'publish', 'kept', 'running', 'null', '{}', '[]', 2, 2, 4, NULL, NULL, 1796131228382569, 1796131228416098, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (5, 'failed.child.1', 'kept', 'talk', 'kept', 'running', 'null', '{}', '[]', 1, 1, 4, 4, 13, 1796131228458594, 1796131228572731, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (2, 'talking', 'kept', 'talk', 'kept', 'running', 'null', '{}', '[]', 1, 1, 6, NULL, NULL, 1796131228366420, 1796131228416098, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (6, 'claimed', 'kept', 'sum', 'kept', 'running', '[5,6]', '{}', '[]', 5, 5, 2, NULL, NULL, 1796131228606142, 1796131228607448, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (7, 'ready', 'kept', 'sum', '€', 'pending', '[3]', '{}', '[]', 4, 4, 1, NULL, NULL, 1796131228612864, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (8, 'paused', 'kept', 'sum', 'kept', 'paused', '[4]', '{}', '[]', 4, 4, 2, NULL, NULL, 1796131228618330, NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228619725, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (9, 'held', 'kept', 'sum', 'kept', 'pending', '[8]', '{}', '[]', 4, 4, 2, NULL, NULL, 1796131228630036, NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.steps VALUES (3, 1, 'plan', 'kept.plan', 'default', 'succeeded', 0, 1796131228115559, 0, 1, 0, 0, 1, NULL, NULL, 0, '2', NULL, NULL, NULL, NULL, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228115559, 1796131228149855, 1796131228208503, NULL, 0, NULL);
INSERT INTO public.steps VALUES (1, 1, 'add:1', 'kept.add', 'default', 'succeeded', 0, 1796131228115559, 0, 1, 0, 0, 1, NULL, NULL, 0, '1', NULL, NULL, NULL, NULL, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228115559, 1796131228149855, 1796131228208503, NULL, 0, NULL);
INSERT INTO public.steps VALUES (11, 4, 'fail', 'kept.fail', 'default', 'failed', 0, 1796131228384501, 0, 1, 1, 0, 1, NULL, NULL, 0, '"broken"', NULL, NULL, NULL, NULL, 'vm-10032-q9z0', 1, NULL, '{"code":"broken","message":"it was broken when the store was made","retryable":false,"details":{"code":"broken"},"cause":"Traceback (most recent call last):\n  File \"/srv/stepwell/executors/pools/attempt.py\", line 42, in _perform\n    value = value_of(task, forks)\n            ^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/stepwell/executors/pools/attempt.py\", line 56, in value_of\n    value = task.invoke()\n            ^^^^^^^^^^^^^\n  File \"/srv/stepwell/engine/step/execution.py\", line 135, in invoke\n    value = self.executor.execute(context)\n            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/stepwell/engine/package.py\", line 78, in execute\n    return self.function(*self.signature.arguments(step, text, \"input\"))  # type: ignore[call-arg]\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/stepwell/tests/stores/kept/work.py\", line 73, in fail\n    raise Permanent(code, \"it was broken when the store was made\", details={\"code\": code})\nstepwell.engine.errors.Permanent: it was broken when the store was made\n","step":null}', NULL, NULL, NULL, NULL, 1796131228384501, 1796131228416098, 1796131228458594, NULL, 0, NULL);
INSERT INTO public.steps VALUES (10, 3, 'sleep', 'wait.sleep', 'default', 'waiting', 0, 1796131228382569, 0, 0, 0, 0, 1, NULL, NULL, 0, '{"seconds":1}', NULL, NULL, NULL, NULL, 'vm-10032-q9z0', 1, NULL, NULL, NULL, '{"kind":"sleep","operation":"wait","run_id":null,"topic":null,"value":null,"until":1796131229416098,"sent":null}', NULL, 1796131229416098, 1796131228382569, 1796131228416098, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (13, 4, 'child', 'run.start', 'default', 'waiting', 0, 1796131228384501, 0, 0, 0, 0, 1, NULL, NULL, 0, '{"package":"kept","entrypoint":"talk"}', NULL, NULL, NULL, NULL, 'vm-10032-q9z0', 1, NULL, NULL, NULL, '{"kind":"run","operation":null,"run_id":"failed.child.1","topic":null,"value":null,"until":null,"sent":null}', 'run:failed.child.1', NULL, 1796131228384501, 1796131228416098, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (2, 1, 'add:2', 'kept.add', 'default', 'succeeded', 0, 1796131228115559, 0, 1, 0, 0, 1, NULL, NULL, 0, '2', NULL, NULL, NULL, NULL, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228115559, 1796131228149855, 1796131228279639, NULL, 0, NULL);
INSERT INTO public.steps VALUES (7, 1, 'made:1', 'kept.add', 'narrow', 'succeeded', 0, 1796131228208503, 0, 1, 0, 0, 1, NULL, NULL, 0, '1', NULL, NULL, NULL, 3, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228208503, 1796131228208503, 1796131228279639, NULL, 0, NULL);
INSERT INTO public.steps VALUES (6, 1, 'made:0', 'kept.add', 'narrow', 'succeeded', 0, 1796131228208503, 0, 1, 0, 0, 1, NULL, NULL, 0, '0', NULL, NULL, NULL, 3, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228208503, 1796131228208503, 1796131228324022, NULL, 0, NULL);
INSERT INTO public.steps VALUES (4, 1, 'total', 'kept.add', 'default', 'succeeded', 0, 1796131228279639, 0, 1, 0, 0, 1, NULL, NULL, 0, '100', NULL, NULL, NULL, NULL, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228115559, 1796131228279639, 1796131228324022, NULL, 0, NULL);
INSERT INTO public.steps VALUES (5, 1, 'after all', 'kept.add', 'default', 'succeeded', 0, 1796131228324022, 0, 1, 0, 0, 1, NULL, NULL, 0, '1000', NULL, NULL, NULL, NULL, 'vm-10032-jrcv', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228115559, 1796131228324022, 1796131228335470, NULL, 0, NULL);
INSERT INTO public.steps VALUES (12, 4, 'needs it', 'kept.add', 'default', 'canceled', 0, 1796131228384501, 1, 0, 0, 0, 1, NULL, NULL, 0, '1', NULL, NULL, NULL, NULL, NULL, 0, NULL, '{"code":"upstream_failed","message":"canceled, because step ''fail'' failed","step":"fail"}', 11, NULL, NULL, NULL, 1796131228384501, NULL, 1796131228458594, NULL, 0, NULL);
INSERT INTO public.steps VALUES (9, 3, 'publish', 'kept.publish', 'default', 'waiting', 0, 1796131228382569, 0, 0, 0, 0, 1, NULL, NULL, 0, 'null', NULL, NULL, NULL, NULL, 'vm-10032-q9z0', 1, NULL, NULL, NULL, '{"kind":"message","operation":"receive","run_id":null,"topic":"go","value":null,"until":null,"sent":null}', 'topic:3:go', NULL, 1796131228382569, 1796131228416098, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (14, 5, 'talk', 'kept.talk', 'default', 'waiting', 0, 1796131228458594, 0, 0, 0, 0, 2, NULL, NULL, 0, 'null', NULL, NULL, NULL, NULL, 'vm-10032-2202', 1, NULL, NULL, NULL, '{"kind":"message","operation":"receive","run_id":null,"topic":"answers","value":null,"until":null,"sent":null}', 'topic:5:answers', NULL, 1796131228458594, 1796131228572731, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (8, 2, 'talk', 'kept.talk', 'default', 'ready', 0, 1796131228593777, 0, 0, 0, 0, 2, NULL, NULL, 0, 'null', NULL, NULL, NULL, NULL, 'vm-10032-q9z0', 1, NULL, NULL, NULL, '{"kind":"message","operation":"receive","run_id":null,"topic":"answers","value":null,"until":null,"sent":null}', NULL, NULL, 1796131228366420, 1796131228416098, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (17, 6, 'plan', 'kept.plan', 'default', 'ready', 0, 1796131228606142, 0, 0, 0, 0, 1, NULL, NULL, 0, '2', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228606142, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (18, 6, 'total', 'kept.add', 'default', 'pending', 0, 1796131228606142, 2, 0, 0, 0, 1, NULL, NULL, 0, '100', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228606142, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (19, 6, 'after all', 'kept.add', 'default', 'pending', 0, 1796131228606142, 1, 0, 0, 0, 1, NULL, NULL, 0, '1000', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228606142, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (15, 6, 'add:5', 'kept.add', 'default', 'running', 0, 1796131228606142, 0, 1, 0, 0, 1, NULL, NULL, 0, '5', NULL, NULL, NULL, NULL, 'killed', 1, 1796131229607448, NULL, NULL, NULL, NULL, NULL, 1796131228606142, 1796131228607448, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (16, 6, 'add:6', 'kept.add', 'default', 'running', 0, 1796131228606142, 0, 1, 0, 0, 1, NULL, NULL, 0, '6', NULL, NULL, NULL, NULL, 'killed', 1, 1796131229607448, NULL, NULL, NULL, NULL, NULL, 1796131228606142, 1796131228607448, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (20, 7, 'add:3', 'kept.add', 'default', 'ready', 0, 1796131228612864, 0, 0, 0, 0, 1, NULL, NULL, 0, '3', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228612864, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (21, 7, 'plan', 'kept.plan', 'default', 'ready', 0, 1796131228612864, 0, 0, 0, 0, 1, NULL, NULL, 0, '2', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228612864, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (22, 7, 'total', 'kept.add', 'default', 'pending', 0, 1796131228612864, 1, 0, 0, 0, 1, NULL, NULL, 0, '100', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228612864, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (23, 7, 'after all', 'kept.add', 'default', 'pending', 0, 1796131228612864, 1, 0, 0, 0, 1, NULL, NULL, 0, '1000', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228612864, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (26, 8, 'total', 'kept.add', 'default', 'pending', 0, 1796131228618330, 1, 0, 0, 0, 1, NULL, NULL, 0, '100', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228618330, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (27, 8, 'after all', 'kept.add', 'default', 'pending', 0, 1796131228618330, 1, 0, 0, 0, 1, NULL, NULL, 0, '1000', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228618330, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (24, 8, 'add:4', 'kept.add', 'default', 'held', 0, 1796131228618330, 0, 0, 0, 0, 1, NULL, NULL, 0, '4', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228618330, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (25, 8, 'plan', 'kept.plan', 'default', 'held', 0, 1796131228618330, 0, 0, 0, 0, 1, NULL, NULL, 0, '2', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228618330, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (29, 9, 'plan', 'kept.plan', 'default', 'ready', 0, 1796131228630036, 0, 0, 0, 0, 1, NULL, NULL, 0, '2', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228630036, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (28, 9, 'add:8', 'kept.add', 'default', 'held', 0, 1796131228630036, 0, 0, 0, 0, 1, NULL, NULL, 0, '8', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228630036, NULL, NULL, NULL, 1, NULL);
INSERT INTO public.steps VALUES (30, 9, 'total', 'kept.add', 'default', 'pending', 0, 1796131228630036, 1, 0, 0, 0, 1, NULL, NULL, 0, '100', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228630036, NULL, NULL, NULL, 0, NULL);
INSERT INTO public.steps VALUES (31, 9, 'after all', 'kept.add', 'default', 'pending', 0, 1796131228630036, 1, 0, 0, 0, 1, NULL, NULL, 0, '1000', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1796131228630036, NULL, NULL, NULL, 0, NULL);
INSERT INTO public."values" VALUES (2, 'state', 1, '"asking"', 8, 'set_value', 1796131228514762);
INSERT INTO public."values" VALUES (5, 'state', 1, '"asking"', 14, 'set_value', 1796131228582080);
SELECT pg_catalog.setval('public.artifacts_id_seq', 6, true);
SELECT pg_catalog.setval('public.messages_id_seq', 1, true);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_artifact_id_key UNIQUE (artifact_id);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_step_name_key UNIQUE (step, name);
ALTER TABLE ONLY public.checkpoint_operations
    ADD CONSTRAINT checkpoint_operations_pkey PRIMARY KEY (execution_id, operation_id);
ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (execution_id);
ALTER TABLE ONLY public.dependencies
    ADD CONSTRAINT dependencies_pkey PRIMARY KEY (needs, step);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (run_key, seq);
ALTER TABLE ONLY public.kv
    ADD CONSTRAINT kv_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (package, collection, key);
ALTER TABLE ONLY public.repeats
    ADD CONSTRAINT repeats_pkey PRIMARY KEY (emitter, step);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (step);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_run_id_key UNIQUE (run_id);
ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_run_key_step_id_key UNIQUE (run_key, step_id);
ALTER TABLE ONLY public."values"
    ADD CONSTRAINT values_pkey PRIMARY KEY (run_key, key, seq);
ALTER TABLE ONLY public."values"
    ADD CONSTRAINT values_step_operation_key UNIQUE (step, operation);
ALTER TABLE ONLY public.waits
    ADD CONSTRAINT waits_pkey PRIMARY KEY (step, name);
ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);
CREATE INDEX artifacts_by_run ON public.artifacts USING btree (run_key, id);
CREATE INDEX checkpoint_operations_by_seq ON public.checkpoint_operations USING btree (execution_id, seq);
CREATE INDEX dependencies_by_step ON public.dependencies USING btree (step);
CREATE INDEX kv_by_expiry ON public.kv USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE UNIQUE INDEX messages_by_key ON public.messages USING btree (run_key, key) WHERE (key IS NOT NULL);
CREATE INDEX messages_by_run ON public.messages USING btree (run_key, id);
CREATE UNIQUE INDEX messages_received ON public.messages USING btree (receiver, operation) WHERE (receiver IS NOT NULL);
CREATE INDEX messages_unreceived ON public.messages USING btree (run_key, topic, id) WHERE (receiver IS NULL);
CREATE INDEX repeats_by_step ON public.repeats USING btree (step);
CREATE INDEX runs_by_deadline ON public.runs USING btree (deadline) WHERE ((deadline IS NOT NULL) AND (ended_at IS NULL));
CREATE INDEX runs_by_dedup_key ON public.runs USING btree (package, dedup_key, id) WHERE ((dedup_key IS NOT NULL) AND ((ended_at IS NULL) OR (dedup_for IS NOT NULL)));
CREATE INDEX runs_by_parent ON public.runs USING btree (parent_run) WHERE (parent_run IS NOT NULL);
CREATE INDEX runs_by_start_by ON public.runs USING btree (start_by) WHERE ((start_by IS NOT NULL) AND (started_at IS NULL) AND (ended_at IS NULL));
CREATE INDEX runs_by_status ON public.runs USING btree (status, id);
CREATE INDEX runs_by_timeout ON public.runs USING btree (((COALESCE(timeout_from, started_at) + timeout))) WHERE ((timeout IS NOT NULL) AND (status = 'running'::text));
CREATE UNIQUE INDEX runs_waiting_by_key ON public.runs USING btree (package, dedup_key) WHERE ((dedup_key IS NOT NULL) AND (started_at IS NULL) AND (ended_at IS NULL));
CREATE INDEX steps_awaiting ON public.steps USING btree (wait_for) WHERE ((status = 'waiting'::text) AND (wait_for IS NOT NULL));
CREATE INDEX steps_by_cause ON public.steps USING btree (cause) WHERE (cause IS NOT NULL);
CREATE INDEX steps_by_parent ON public.steps USING btree (parent) WHERE (parent IS NOT NULL);
CREATE UNIQUE INDEX steps_dedup ON public.steps USING btree (run_key, dedup_key) WHERE (dedup_key IS NOT NULL);
CREATE INDEX steps_due ON public.steps USING btree (wake_at) WHERE ((status = 'waiting'::text) AND (wake_at IS NOT NULL));
CREATE INDEX steps_held ON public.steps USING btree (run_key) WHERE (held = 1);
CREATE INDEX steps_ready ON public.steps USING btree (queue, kind, priority, ready_at, id) WHERE (status = 'ready'::text);
CREATE INDEX steps_running ON public.steps USING btree (queue, expires_at) WHERE (status = 'running'::text);
CREATE INDEX steps_suspect ON public.steps USING btree (queue, kind) WHERE ((status = 'ready'::text) AND (lost_leases > 0));
CREATE INDEX steps_unsuccessful ON public.steps USING btree (run_key, status) WHERE ((status = 'canceled'::text) OR (status = 'failed'::text) OR (status = 'skipped'::text));
CREATE INDEX waits_by_name ON public.waits USING btree (name);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_run_key_fkey FOREIGN KEY (run_key) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_step_fkey FOREIGN KEY (step) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.checkpoint_operations
    ADD CONSTRAINT checkpoint_operations_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES public.checkpoints(execution_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.dependencies
    ADD CONSTRAINT dependencies_needs_fkey FOREIGN KEY (needs) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.dependencies
    ADD CONSTRAINT dependencies_step_fkey FOREIGN KEY (step) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_run_key_fkey FOREIGN KEY (run_key) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_receiver_fkey FOREIGN KEY (receiver) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_run_key_fkey FOREIGN KEY (run_key) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.repeats
    ADD CONSTRAINT repeats_emitter_fkey FOREIGN KEY (emitter) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.repeats
    ADD CONSTRAINT repeats_step_fkey FOREIGN KEY (step) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_step_fkey FOREIGN KEY (step) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_parent_run_fkey FOREIGN KEY (parent_run) REFERENCES public.runs(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_run_key_fkey FOREIGN KEY (run_key) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public."values"
    ADD CONSTRAINT values_run_key_fkey FOREIGN KEY (run_key) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public."values"
    ADD CONSTRAINT values_step_fkey FOREIGN KEY (step) REFERENCES public.steps(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.waits
    ADD CONSTRAINT waits_step_fkey FOREIGN KEY (step) REFERENCES public.steps(id) ON DELETE CASCADE;
