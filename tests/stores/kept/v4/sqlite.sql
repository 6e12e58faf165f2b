BEGIN TRANSACTION;
CREATE TABLE artifacts (
        id INTEGER PRIMARY KEY,
        artifact_id TEXT NOT NULL UNIQUE,
        run_key INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        content_type TEXT NOT NULL,
        metadata TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        uri TEXT,
        body BLOB,
        created_at INTEGER NOT NULL,
        UNIQUE (step, name),
        CHECK ((uri IS NULL) <> (body IS NULL))
    );
INSERT INTO "artifacts" VALUES(1,'a1qr0kjwdcm9ta2z570b4',1,2,'note.txt','file','application/octet-stream','{}',8,'23f447644bce396857b75a0d44bb83b839506ce715e2e43a88289df6c26e5a10',NULL,X'697420697320320A',1796131223689794);
INSERT INTO "artifacts" VALUES(2,'a0epkrv01fm3xkkagmtk8',1,1,'note.txt','file','application/octet-stream','{}',8,'d8f94059b5d089533d091505644c27fb8f8da13a418faa76c479547b15e8cf5d',NULL,X'697420697320310A',1796131223689794);
INSERT INTO "artifacts" VALUES(3,'a10snpd1ebckhfhhjzvba',1,6,'note.txt','file','application/octet-stream','{}',8,'cc2d2c95c0ee57dc4373ab32c6bf8761d940f39ed88967a314de374f7e5a2f1f',NULL,X'697420697320300A',1796131223689794);
INSERT INTO "artifacts" VALUES(4,'a1jycq2nghkaz2jzwmskw',1,7,'note.txt','file','application/octet-stream','{}',8,'d8f94059b5d089533d091505644c27fb8f8da13a418faa76c479547b15e8cf5d',NULL,X'697420697320310A',1796131223689794);
INSERT INTO "artifacts" VALUES(5,'a187amkz9z5x8jr33g3z6',1,4,'note.txt','file','application/octet-stream','{}',10,'8cd6c23f2f7033cc47ab12546ed48fb30dbc0ca7c582d2fd4aa554e230a9bc7e',NULL,X'6974206973203130300A',1796131223702159);
INSERT INTO "artifacts" VALUES(6,'a0q1ky7t17m1m24kt3924',1,5,'note.txt','file','application/octet-stream','{}',11,'d6ccce1ce6acb6d31f0e3a04eb544c92a2c78c5a95628716d68038e7e9230569',NULL,X'697420697320313030300A',1796131223702159);
CREATE TABLE checkpoint_operations (
        execution_id TEXT NOT NULL REFERENCES checkpoints (execution_id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        operation_id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (execution_id, operation_id)
    ) WITHOUT ROWID;
INSERT INTO "checkpoint_operations" VALUES('failed.child.1/talk',1,'first','{"name":"first","occurrence":1,"key":null,"kind":"do","digest":"","value":"recorded by the code that made the store","error":null,"attempts":1,"started":"2026-12-01T13:20:23.923290Z","ended":"2026-12-01T13:20:23.923369Z","open":false}');
INSERT INTO "checkpoint_operations" VALUES('failed.child.1/talk',2,'set_value','{"name":"set_value","occurrence":1,"key":null,"kind":"set_value","digest":"cf4c582c5d6cc227d069710bedec12d37d7c7935a7fb0fcf7d8a4b2a4e64623e","value":null,"error":null,"attempts":1,"started":"2026-12-01T13:20:23.930098Z","ended":"2026-12-01T13:20:23.930098Z","open":false}');
INSERT INTO "checkpoint_operations" VALUES('talking/talk',1,'first','{"name":"first","occurrence":1,"key":null,"kind":"do","digest":"","value":"recorded by the code that made the store","error":null,"attempts":1,"started":"2026-12-01T13:20:23.830396Z","ended":"2026-12-01T13:20:23.830493Z","open":false}');
INSERT INTO "checkpoint_operations" VALUES('talking/talk',2,'set_value','{"name":"set_value","occurrence":1,"key":null,"kind":"set_value","digest":"cf4c582c5d6cc227d069710bedec12d37d7c7935a7fb0fcf7d8a4b2a4e64623e","value":null,"error":null,"attempts":1,"started":"2026-12-01T13:20:23.885967Z","ended":"2026-12-01T13:20:23.885967Z","open":false}');
CREATE TABLE checkpoints (
        execution_id TEXT PRIMARY KEY,
        head TEXT NOT NULL,
        pause_requested INTEGER NOT NULL DEFAULT 0,
        pause_reason TEXT NOT NULL DEFAULT '',
        updated_at INTEGER NOT NULL
    );
INSERT INTO "checkpoints" VALUES('talking/talk','{"schema_version":1,"id":"talking/talk","execution_id":"talking/talk","run_id":"talking","step_id":"talk","status":"waiting","inputs":null,"variables":{},"wait":{"kind":"message","operation":"receive","topic":"answers","wake_at":null,"remaining":null},"error":null,"start_time":"2026-12-01T13:20:23.741271Z","end_time":null,"checkpoint_at":"2026-12-01T13:20:23.894551Z","elsewhere":""}',0,'',1796131223895015);
INSERT INTO "checkpoints" VALUES('other/publish','{"schema_version":1,"id":"other/publish","execution_id":"other/publish","run_id":"other","step_id":"publish","status":"waiting","inputs":null,"variables":{},"wait":{"kind":"message","operation":"receive","topic":"go","wake_at":null,"remaining":null},"error":null,"start_time":"2026-12-01T13:20:23.741271Z","end_time":null,"checkpoint_at":"2026-12-01T13:20:23.886486Z","elsewhere":""}',0,'',1796131223895015);
INSERT INTO "checkpoints" VALUES('failed.child.1/talk','{"schema_version":1,"id":"failed.child.1/talk","execution_id":"failed.child.1/talk","run_id":"failed.child.1","step_id":"talk","status":"waiting","inputs":null,"variables":{},"wait":{"kind":"message","operation":"receive","topic":"answers","wake_at":null,"remaining":null},"error":null,"start_time":"2026-12-01T13:20:23.915613Z","end_time":null,"checkpoint_at":"2026-12-01T13:20:23.930593Z","elsewhere":""}',0,'',1796131223930909);
CREATE TABLE dependencies (
        needs INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        step INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        condition TEXT NOT NULL CHECK (condition = 'succeeded' OR condition = 'finished' OR condition = 'failed'),
        subtree INTEGER NOT NULL,
        PRIMARY KEY (needs, step),
        CHECK (needs <> step)
    ) WITHOUT ROWID;
INSERT INTO "dependencies" VALUES(1,4,'succeeded',0);
INSERT INTO "dependencies" VALUES(2,4,'succeeded',0);
INSERT INTO "dependencies" VALUES(3,5,'succeeded',1);
INSERT INTO "dependencies" VALUES(6,5,'succeeded',1);
INSERT INTO "dependencies" VALUES(7,5,'succeeded',1);
INSERT INTO "dependencies" VALUES(11,12,'succeeded',0);
INSERT INTO "dependencies" VALUES(15,18,'succeeded',0);
INSERT INTO "dependencies" VALUES(16,18,'succeeded',0);
INSERT INTO "dependencies" VALUES(17,19,'succeeded',1);
INSERT INTO "dependencies" VALUES(20,22,'succeeded',0);
INSERT INTO "dependencies" VALUES(21,23,'succeeded',1);
INSERT INTO "dependencies" VALUES(24,26,'succeeded',0);
INSERT INTO "dependencies" VALUES(25,27,'succeeded',1);
INSERT INTO "dependencies" VALUES(28,30,'succeeded',0);
INSERT INTO "dependencies" VALUES(29,31,'succeeded',1);
CREATE TABLE events (
        run_key INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        type TEXT NOT NULL,
        at INTEGER NOT NULL,
        step INTEGER,
        attempt INTEGER,
        worker TEXT,
        data TEXT,
        PRIMARY KEY (run_key, seq)
    ) WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,'run.created',1796131223614304,NULL,NULL,NULL,'{"steps":5,"package":"kept"}');
INSERT INTO "events" VALUES(1,2,'run.started',1796131223645608,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,3,'step.succeeded',1796131223669016,3,1,NULL,NULL);
INSERT INTO "events" VALUES(1,4,'step.succeeded',1796131223689794,2,1,NULL,NULL);
INSERT INTO "events" VALUES(1,5,'step.succeeded',1796131223689794,1,1,NULL,NULL);
INSERT INTO "events" VALUES(1,6,'step.succeeded',1796131223689794,6,1,NULL,NULL);
INSERT INTO "events" VALUES(1,7,'step.succeeded',1796131223689794,7,1,NULL,NULL);
INSERT INTO "events" VALUES(1,8,'step.succeeded',1796131223702159,4,1,NULL,NULL);
INSERT INTO "events" VALUES(1,9,'step.succeeded',1796131223702159,5,1,NULL,NULL);
INSERT INTO "events" VALUES(1,10,'run.succeeded',1796131223702159,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,1,'run.created',1796131223718712,NULL,NULL,NULL,'{"steps":1,"package":"kept"}');
INSERT INTO "events" VALUES(2,2,'run.started',1796131223741271,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,3,'value.set',1796131223835476,8,1,NULL,'{"key":"state","number":1,"operation":"set_value"}');
INSERT INTO "events" VALUES(2,4,'step.waiting',1796131223898122,8,1,NULL,'{"kind":"message","operation":"receive","topic":"answers"}');
INSERT INTO "events" VALUES(2,5,'message.sent',1796131223953247,NULL,NULL,NULL,'{"topic":"answers","key":"first","sender":null}');
INSERT INTO "events" VALUES(2,6,'step.woken',1796131223953247,8,0,NULL,'{"topic":"answers"}');
INSERT INTO "events" VALUES(3,1,'run.created',1796131223732590,NULL,NULL,NULL,'{"steps":2,"package":"kept"}');
INSERT INTO "events" VALUES(3,2,'run.started',1796131223741271,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,3,'step.waiting',1796131223835476,10,1,NULL,'{"kind":"sleep","operation":"wait","until":"2026-12-01T13:20:24.741271Z"}');
INSERT INTO "events" VALUES(3,4,'step.waiting',1796131223898122,9,1,NULL,'{"kind":"message","operation":"receive","topic":"go"}');
INSERT INTO "events" VALUES(4,1,'run.created',1796131223737626,NULL,NULL,NULL,'{"steps":3,"package":"kept"}');
INSERT INTO "events" VALUES(4,2,'run.started',1796131223741271,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(4,3,'step.failed',1796131223835476,11,1,NULL,'{"code":"broken","message":"it was broken when the store was made"}');
INSERT INTO "events" VALUES(4,4,'step.canceled',1796131223835476,12,NULL,NULL,'{"code":"upstream_failed","step":"fail"}');
INSERT INTO "events" VALUES(4,5,'step.waiting',1796131223898122,13,1,NULL,'{"kind":"run","run_id":"failed.child.1"}');
INSERT INTO "events" VALUES(5,1,'run.created',1796131223898122,NULL,NULL,NULL,'{"steps":1,"package":"kept"}');
INSERT INTO "events" VALUES(5,2,'run.started',1796131223915613,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(5,3,'value.set',1796131223928906,14,1,NULL,'{"key":"state","number":1,"operation":"set_value"}');
INSERT INTO "events" VALUES(5,4,'step.waiting',1796131223942301,14,1,NULL,'{"kind":"message","operation":"receive","topic":"answers"}');
INSERT INTO "events" VALUES(6,1,'run.created',1796131223975175,NULL,NULL,NULL,'{"steps":5,"package":"kept"}');
INSERT INTO "events" VALUES(6,2,'run.started',1796131223986312,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(7,1,'run.created',1796131223994430,NULL,NULL,NULL,'{"steps":4,"package":"kept"}');
INSERT INTO "events" VALUES(8,1,'run.created',1796131224002437,NULL,NULL,NULL,'{"steps":4,"package":"kept"}');
INSERT INTO "events" VALUES(8,2,'run.paused',1796131224010167,NULL,NULL,NULL,'{"by":"operator","reason":"until the new version","steps":2}');
INSERT INTO "events" VALUES(9,1,'run.created',1796131224030373,NULL,NULL,NULL,'{"steps":4,"package":"kept"}');
INSERT INTO "events" VALUES(9,2,'step.held',1796131224034144,28,NULL,NULL,'{"by":"operator","reason":""}');
CREATE TABLE kv (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        version INTEGER NOT NULL,
        expires_at INTEGER,
        updated_at INTEGER NOT NULL
    );
INSERT INTO "kv" VALUES('cursor','{"at":7}',1,NULL,1796131223966252);
CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        run_key INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        topic TEXT NOT NULL,
        payload TEXT NOT NULL,
        key TEXT,
        sender TEXT,
        receiver INTEGER REFERENCES steps (id) ON DELETE CASCADE,
        operation TEXT,
        created_at INTEGER NOT NULL,
        CHECK ((receiver IS NULL) = (operation IS NULL))
    );
INSERT INTO "messages" VALUES(1,2,'answers','{"text":"yes €"}','first',NULL,NULL,NULL,1796131223953247);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO "meta" VALUES('schema_version',4);
INSERT INTO "meta" VALUES('next_run',10);
INSERT INTO "meta" VALUES('next_step',32);
INSERT INTO "meta" VALUES('control',4);
INSERT INTO "meta" VALUES('limits_set',1796131223609912);
CREATE TABLE queues (
        name TEXT PRIMARY KEY,
        max_in_flight INTEGER CHECK (max_in_flight > 0),
        rate_limit DOUBLE PRECISION CHECK (rate_limit > 0),
        rate_period INTEGER NOT NULL,
        burst INTEGER,
        tokens DOUBLE PRECISION,
        refilled_at INTEGER NOT NULL,
        max_per_worker INTEGER CHECK (max_per_worker > 0),
        labels TEXT NOT NULL
    );
INSERT INTO "queues" VALUES('default',NULL,NULL,1000000,NULL,NULL,1796131223602315,NULL,'[]');
INSERT INTO "queues" VALUES('narrow',2,NULL,1000000,NULL,NULL,1796131223609912,NULL,'[]');
INSERT INTO "queues" VALUES('slow',NULL,5.0,1000000,5,NULL,1796131223609912,NULL,'[]');
CREATE TABLE records (
        package TEXT NOT NULL,
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        step INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (package, collection, key)
    ) WITHOUT ROWID;
INSERT INTO "records" VALUES('kept','sums','add:1','{"sum":1,"text":"€ é"}',1,1796131223689794);
INSERT INTO "records" VALUES('kept','sums','add:2','{"sum":2,"text":"€ é"}',2,1796131223689794);
INSERT INTO "records" VALUES('kept','sums','after all','{"sum":1000,"text":"€ é"}',5,1796131223702159);
INSERT INTO "records" VALUES('kept','sums','made:0','{"sum":0,"text":"€ é"}',6,1796131223689794);
INSERT INTO "records" VALUES('kept','sums','made:1','{"sum":1,"text":"€ é"}',7,1796131223689794);
INSERT INTO "records" VALUES('kept','sums','total','{"sum":100,"text":"€ é"}',4,1796131223702159);
CREATE TABLE repeats (
        emitter INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        step INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        PRIMARY KEY (emitter, step)
    ) WITHOUT ROWID;
CREATE TABLE results (
        step INTEGER PRIMARY KEY REFERENCES steps (id) ON DELETE CASCADE,
        value TEXT NOT NULL,
        records TEXT,
        committed_at INTEGER NOT NULL
    );
INSERT INTO "results" VALUES(1,'1','[["sums","add:1"]]',1796131223689794);
INSERT INTO "results" VALUES(2,'2','[["sums","add:2"]]',1796131223689794);
INSERT INTO "results" VALUES(3,'2',NULL,1796131223669016);
INSERT INTO "results" VALUES(4,'103','[["sums","total"]]',1796131223702159);
INSERT INTO "results" VALUES(5,'1003','[["sums","after all"]]',1796131223702159);
INSERT INTO "results" VALUES(6,'0','[["sums","made:0"]]',1796131223689794);
INSERT INTO "results" VALUES(7,'1','[["sums","made:1"]]',1796131223689794);
CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        package TEXT NOT NULL,
        entrypoint TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status = 'running' OR status = 'succeeded' OR status = 'pending' OR status = 'paused' OR status = 'failed' OR status = 'canceled'),
        input TEXT NOT NULL,
        metadata TEXT NOT NULL,
        tags TEXT NOT NULL,
        total_steps INTEGER NOT NULL,
        open_steps INTEGER NOT NULL CHECK (open_steps >= 0),
        event_seq INTEGER NOT NULL,
        parent_run INTEGER REFERENCES runs (id) ON DELETE SET NULL,
        parent_step INTEGER,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER
    , holds INTEGER NOT NULL DEFAULT 0 CHECK (holds >= 0), queue TEXT, priority INTEGER, partition_key TEXT, version TEXT, summary TEXT, dedup_key TEXT, dedup_for INTEGER CHECK (dedup_for > 0), replaced INTEGER CHECK (replaced > 0), start_at INTEGER, start_by INTEGER, timeout INTEGER CHECK (timeout > 0), timeout_from INTEGER, paused_at INTEGER, deadline INTEGER, error_step INTEGER, error TEXT, label TEXT, colour TEXT, forked_from INTEGER);
INSERT INTO "runs" VALUES(1,'ended','kept','sum','kept','succeeded','[1,2]','{}','["old"]',7,0,10,NULL,NULL,1796131223614304,1796131223645608,1796131223702159,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(2,'talking','kept','talk','kept','running','null','{}','[]',1,1,6,NULL,NULL,1796131223718712,1796131223741271,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(3,'other','kept','publish','kept','running','null','{}','[]',2,2,4,NULL,NULL,1796131223732590,1796131223741271,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(4,'failed','kept','fail','kept','running','null','{}','[]',3,1,5,NULL,NULL,1796131223737626,1796131223741271,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(5,'failed.child.1','kept','talk','kept','running','null','{}','[]',1,1,4,4,13,1796131223898122,1796131223915613,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(6,'claimed','kept','sum','kept','running','[5,6]','{}','[]',5,5,2,NULL,NULL,1796131223975175,1796131223986312,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(7,'ready','kept','sum','€','pending','[3]','{}','[]',4,4,1,NULL,NULL,1796131223994430,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(8,'paused','kept','sum','kept','paused','[4]','{}','[]',4,4,2,NULL,NULL,1796131224002437,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1796131224010167,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(9,'held','kept','sum','kept','pending','[8]','{}','[]',4,4,2,NULL,NULL,1796131224030373,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE steps (
        id INTEGER PRIMARY KEY,
        run_key INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        queue TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status = 'running' OR status = 'succeeded' OR status = 'ready' OR status = 'pending' OR status = 'waiting' OR status = 'held' OR status = 'canceled' OR status = 'failed' OR status = 'skipped'),
        priority INTEGER NOT NULL,
        ready_at INTEGER NOT NULL,
        pending INTEGER NOT NULL CHECK (pending >= 0),
        attempt INTEGER NOT NULL CHECK (attempt >= 0),
        failures INTEGER NOT NULL CHECK (failures >= 0),
        lost_leases INTEGER NOT NULL CHECK (lost_leases >= 0),
        max_attempts INTEGER NOT NULL,
        timeout INTEGER,
        retry TEXT,
        allow_failure INTEGER NOT NULL,
        input TEXT NOT NULL,
        metadata TEXT,
        dedup_key TEXT,
        site TEXT,
        parent INTEGER,
        worker TEXT,
        token INTEGER NOT NULL,
        expires_at INTEGER,
        error TEXT,
        cause INTEGER,
        wait TEXT,
        wait_for TEXT,
        wake_at INTEGER,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER, wait_left INTEGER, held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)), max_recoveries INTEGER CHECK (max_recoveries >= 0),
        UNIQUE (run_key, step_id),
        CHECK ((status = 'running') = (expires_at IS NOT NULL)),
        CHECK (status <> 'ready' OR pending = 0)
    );
INSERT INTO "steps" VALUES(1,1,'add:1','kept.add','default','succeeded',0,1796131223614304,0,1,0,0,1,NULL,NULL,0,'1',NULL,NULL,NULL,NULL,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223614304,1796131223645608,1796131223689794,NULL,0,NULL);
INSERT INTO "steps" VALUES(2,1,'add:2','kept.add','default','succeeded',0,1796131223614304,0,1,0,0,1,NULL,NULL,0,'2',NULL,NULL,NULL,NULL,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223614304,1796131223645608,1796131223689794,NULL,0,NULL);
INSERT INTO "steps" VALUES(3,1,'plan','kept.plan','default','succeeded',0,1796131223614304,0,1,0,0,1,NULL,NULL,0,'2',NULL,NULL,NULL,NULL,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223614304,1796131223645608,1796131223669016,NULL,0,NULL);
INSERT INTO "steps" VALUES(4,1,'total','kept.add','default','succeeded',0,1796131223689794,0,1,0,0,1,NULL,NULL,0,'100',NULL,NULL,NULL,NULL,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223614304,1796131223689794,1796131223702159,NULL,0,NULL);
INSERT INTO "steps" VALUES(5,1,'after all','kept.add','default','succeeded',0,1796131223689794,0,1,0,0,1,NULL,NULL,0,'1000',NULL,NULL,NULL,NULL,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223614304,1796131223689794,1796131223702159,NULL,0,NULL);
INSERT INTO "steps" VALUES(6,1,'made:0','kept.add','narrow','succeeded',0,1796131223669016,0,1,0,0,1,NULL,NULL,0,'0',NULL,NULL,NULL,3,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223669016,1796131223669016,1796131223689794,NULL,0,NULL);
INSERT INTO "steps" VALUES(7,1,'made:1','kept.add','narrow','succeeded',0,1796131223669016,0,1,0,0,1,NULL,NULL,0,'1',NULL,NULL,NULL,3,'vm-10032-zzzy',1,NULL,NULL,NULL,NULL,NULL,NULL,1796131223669016,1796131223669016,1796131223689794,NULL,0,NULL);
INSERT INTO "steps" VALUES(8,2,'talk','kept.talk','default','ready',0,1796131223953247,0,0,0,0,2,NULL,NULL,0,'null',NULL,NULL,NULL,NULL,'vm-10032-4wab',1,NULL,NULL,NULL,'{"kind":"message","operation":"receive","run_id":null,"topic":"answers","value":null,"until":null,"sent":null}',NULL,NULL,1796131223718712,1796131223741271,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(9,3,'publish','kept.publish','default','waiting',0,1796131223732590,0,0,0,0,1,NULL,NULL,0,'null',NULL,NULL,NULL,NULL,'vm-10032-4wab',1,NULL,NULL,NULL,'{"kind":"message","operation":"receive","run_id":null,"topic":"go","value":null,"until":null,"sent":null}','topic:3:go',NULL,1796131223732590,1796131223741271,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(10,3,'sleep','wait.sleep','default','waiting',0,1796131223732590,0,0,0,0,1,NULL,NULL,0,'{"seconds":1}',NULL,NULL,NULL,NULL,'vm-10032-4wab',1,NULL,NULL,NULL,'{"kind":"sleep","operation":"wait","run_id":null,"topic":null,"value":null,"until":1796131224741271,"sent":null}',NULL,1796131224741271,1796131223732590,1796131223741271,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(11,4,'fail','kept.fail','default','failed',0,1796131223737626,0,1,1,0,1,NULL,NULL,0,'"broken"',NULL,NULL,NULL,NULL,'vm-10032-4wab',1,NULL,'{"code":"broken","message":"it was broken when the store was made","retryable":false,"details":{"code":"broken"},"cause":"Traceback (most recent call last):\n  File \"/srv/stepwell/executors/pools/attempt.py\", line 42, in _perform\n    value = value_of(task, forks)\n            ^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/stepwell/executors/pools/attempt.py\", line 56, in value_of\n    value = task.invoke()\n            ^^^^^^^^^^^^^\n  File \"/srv/stepwell/engine/step/execution.py\", line 135, in invoke\n    value = self.executor.execute(context)\n            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/stepwell/engine/package.py\", line 78, in execute\n    return self.function(*self.signature.arguments(step, text, \"input\"))  # type: ignore[call-arg]\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"/srv/stepwell/tests/stores/kept/work.py\", line 73, in fail\n    raise Permanent(code, \"it was broken when the store was made\", details={\"code\": code})\nstepwell.engine.errors.Permanent: it was broken when the store was made\n","step":null}',NULL,NULL,NULL,NULL,1796131223737626,1796131223741271,1796131223835476,NULL,0,NULL);
INSERT INTO "steps" VALUES(12,4,'needs it','kept.add','default','canceled',0,1796131223737626,1,0,0,0,1,NULL,NULL,0,'1',NULL,NULL,NULL,NULL,NULL,0,NULL,'{"code":"upstream_failed","message":"canceled, because step ''fail'' failed","step":"fail"}',11,NULL,NULL,NULL,1796131223737626,NULL,1796131223835476,NULL,0,NULL);
INSERT INTO "steps" VALUES(13,4,'child','run.start','default','waiting',0,1796131223737626,0,0,0,0,1,NULL,NULL,0,'{"package":"kept","entrypoint":"talk"}',NULL,NULL,NULL,NULL,'vm-10032-4wab',1,NULL,NULL,NULL,'{"kind":"run","operation":null,"run_id":"failed.child.1","topic":null,"value":null,"until":null,"sent":null}','run:failed.child.1',NULL,1796131223737626,1796131223741271,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(14,5,'talk','kept.talk','default','waiting',0,1796131223898122,0,0,0,0,2,NULL,NULL,0,'null',NULL,NULL,NULL,NULL,'vm-10032-t1zg',1,NULL,NULL,NULL,'{"kind":"message","operation":"receive","run_id":null,"topic":"answers","value":null,"until":null,"sent":null}','topic:5:answers',NULL,1796131223898122,1796131223915613,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(15,6,'add:5','kept.add','default','running',0,1796131223975175,0,1,0,0,1,NULL,NULL,0,'5',NULL,NULL,NULL,NULL,'killed',1,1796131224986312,NULL,NULL,NULL,NULL,NULL,1796131223975175,1796131223986312,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(16,6,'add:6','kept.add','default','running',0,1796131223975175,0,1,0,0,1,NULL,NULL,0,'6',NULL,NULL,NULL,NULL,'killed',1,1796131224986312,NULL,NULL,NULL,NULL,NULL,1796131223975175,1796131223986312,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(17,6,'plan','kept.plan','default','ready',0,1796131223975175,0,0,0,0,1,NULL,NULL,0,'2',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223975175,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(18,6,'total','kept.add','default','pending',0,1796131223975175,2,0,0,0,1,NULL,NULL,0,'100',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223975175,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(19,6,'after all','kept.add','default','pending',0,1796131223975175,1,0,0,0,1,NULL,NULL,0,'1000',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223975175,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(20,7,'add:3','kept.add','default','ready',0,1796131223994430,0,0,0,0,1,NULL,NULL,0,'3',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223994430,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(21,7,'plan','kept.plan','default','ready',0,1796131223994430,0,0,0,0,1,NULL,NULL,0,'2',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223994430,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(22,7,'total','kept.add','default','pending',0,1796131223994430,1,0,0,0,1,NULL,NULL,0,'100',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223994430,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(23,7,'after all','kept.add','default','pending',0,1796131223994430,1,0,0,0,1,NULL,NULL,0,'1000',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131223994430,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(24,8,'add:4','kept.add','default','held',0,1796131224002437,0,0,0,0,1,NULL,NULL,0,'4',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224002437,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(25,8,'plan','kept.plan','default','held',0,1796131224002437,0,0,0,0,1,NULL,NULL,0,'2',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224002437,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(26,8,'total','kept.add','default','pending',0,1796131224002437,1,0,0,0,1,NULL,NULL,0,'100',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224002437,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(27,8,'after all','kept.add','default','pending',0,1796131224002437,1,0,0,0,1,NULL,NULL,0,'1000',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224002437,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(28,9,'add:8','kept.add','default','held',0,1796131224030373,0,0,0,0,1,NULL,NULL,0,'8',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224030373,NULL,NULL,NULL,1,NULL);
INSERT INTO "steps" VALUES(29,9,'plan','kept.plan','default','ready',0,1796131224030373,0,0,0,0,1,NULL,NULL,0,'2',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224030373,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(30,9,'total','kept.add','default','pending',0,1796131224030373,1,0,0,0,1,NULL,NULL,0,'100',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224030373,NULL,NULL,NULL,0,NULL);
INSERT INTO "steps" VALUES(31,9,'after all','kept.add','default','pending',0,1796131224030373,1,0,0,0,1,NULL,NULL,0,'1000',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,1796131224030373,NULL,NULL,NULL,0,NULL);
CREATE TABLE "values" (
        run_key INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        value TEXT NOT NULL,
        step INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        operation TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (run_key, key, seq),
        UNIQUE (step, operation)
    ) WITHOUT ROWID;
INSERT INTO "values" VALUES(2,'state',1,'"asking"',8,'set_value',1796131223835476);
INSERT INTO "values" VALUES(5,'state',1,'"asking"',14,'set_value',1796131223928906);
CREATE TABLE waits (
        step INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        PRIMARY KEY (step, name)
    ) WITHOUT ROWID;
CREATE TABLE workers (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        version TEXT NOT NULL,
        queues TEXT,
        started_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        kinds TEXT NOT NULL,
        labels TEXT NOT NULL
    );
CREATE INDEX runs_by_status ON runs (status, id);
CREATE INDEX runs_by_parent ON runs (parent_run) WHERE parent_run IS NOT NULL;
CREATE INDEX steps_ready ON steps (queue, kind, priority, ready_at, id) WHERE status = 'ready';
CREATE INDEX steps_suspect ON steps (queue, kind) WHERE status = 'ready' AND lost_leases > 0;
CREATE INDEX steps_running ON steps (queue, expires_at) WHERE status = 'running';
CREATE INDEX steps_due ON steps (wake_at) WHERE status = 'waiting' AND wake_at IS NOT NULL;
CREATE INDEX steps_unsuccessful ON steps (run_key, status) WHERE status = 'canceled' OR status = 'failed' OR status = 'skipped';
CREATE INDEX steps_by_parent ON steps (parent) WHERE parent IS NOT NULL;
CREATE INDEX steps_by_cause ON steps (cause) WHERE cause IS NOT NULL;
CREATE UNIQUE INDEX steps_dedup ON steps (run_key, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX dependencies_by_step ON dependencies (step);
CREATE INDEX artifacts_by_run ON artifacts (run_key, id);
CREATE INDEX steps_awaiting ON steps (wait_for) WHERE status = 'waiting' AND wait_for IS NOT NULL;
CREATE INDEX steps_held ON steps (run_key) WHERE held = 1;
CREATE INDEX messages_by_run ON messages (run_key, id);
CREATE INDEX messages_unreceived ON messages (run_key, topic, id) WHERE receiver IS NULL;
CREATE UNIQUE INDEX messages_received ON messages (receiver, operation) WHERE receiver IS NOT NULL;
CREATE UNIQUE INDEX messages_by_key ON messages (run_key, key) WHERE key IS NOT NULL;
CREATE INDEX kv_by_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX checkpoint_operations_by_seq ON checkpoint_operations (execution_id, seq);
CREATE INDEX waits_by_name ON waits (name);
CREATE INDEX repeats_by_step ON repeats (step);
CREATE UNIQUE INDEX runs_waiting_by_key ON runs (package, dedup_key) WHERE dedup_key IS NOT NULL AND started_at IS NULL AND ended_at IS NULL;
CREATE INDEX runs_by_dedup_key ON runs (package, dedup_key, id) WHERE dedup_key IS NOT NULL AND (ended_at IS NULL OR dedup_for IS NOT NULL);
CREATE INDEX runs_by_timeout ON runs ((COALESCE(timeout_from, started_at) + timeout)) WHERE timeout IS NOT NULL AND status = 'running';
CREATE INDEX runs_by_deadline ON runs (deadline) WHERE deadline IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_by_start_by ON runs (start_by) WHERE start_by IS NOT NULL AND started_at IS NULL AND ended_at IS NULL;
COMMIT;
