BEGIN TRANSACTION;
CREATE TABLE approvals (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL,
        profile TEXT NOT NULL,
        tool TEXT NOT NULL,
        args TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        asked_at REAL NOT NULL,
        deadline REAL,
        client TEXT NOT NULL,
        uid INTEGER NOT NULL,
        rule TEXT NOT NULL,
        context TEXT NOT NULL,
        state TEXT NOT NULL,
        decided_at REAL,
        decided_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        approved_args TEXT,
        approved_fingerprint TEXT NOT NULL
    );
INSERT INTO "approvals" VALUES(1,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','main','python','execute','{"command":"true"}','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',1000.0,1900.0,'',-1,'','{}','pending',NULL,'','',NULL,'');
CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        call TEXT NOT NULL,
        body TEXT NOT NULL,
        prev_hash TEXT NOT NULL,
        hash TEXT NOT NULL
    );
INSERT INTO "audit" VALUES(1,1000.0,'call_ended','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"exit_code":3}','0000000000000000000000000000000000000000000000000000000000000000','be8ca1b95489c5401ccae49f12e72662d3d6cf7e786f13f0e69b2255bbe75ce2');
INSERT INTO "audit" VALUES(2,1002.0,'approval_asked','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{}','be8ca1b95489c5401ccae49f12e72662d3d6cf7e786f13f0e69b2255bbe75ce2','961b8f39c9a433bdc2d1aff256dd2dd1909eda9a2909836d955fa49b78e8189e');
CREATE TABLE bodies (call TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE calls (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL,
        profile TEXT NOT NULL,
        tool TEXT NOT NULL,
        args TEXT NOT NULL,
        state TEXT NOT NULL,
        client TEXT NOT NULL,
        uid INTEGER NOT NULL,
        created_at REAL NOT NULL,
        started_at REAL,
        ended_at REAL,
        background INTEGER NOT NULL,
        idempotency_key TEXT NOT NULL,
        asked_sha256 TEXT NOT NULL,
        timeout REAL,
        body_size INTEGER NOT NULL,
        body_sha256 TEXT NOT NULL,
        container TEXT NOT NULL,
        boot TEXT NOT NULL,
        cancel_reason TEXT NOT NULL,
        rule TEXT NOT NULL,
        reason TEXT NOT NULL,
        exit_code INTEGER,
        result TEXT NOT NULL,
        output_size INTEGER NOT NULL,
        truncated INTEGER NOT NULL
    , grant TEXT NOT NULL DEFAULT '');
INSERT INTO "calls" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','main','python','execute','{"command":"true"}','finished','',-1,1000.0,NULL,1001.0,0,'','',NULL,0,'','','','','','',3,'{"stdout":6}',6,0,'');
INSERT INTO "calls" VALUES(2,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','main','python','execute','{"command":"true"}','held','',-1,1000.0,NULL,NULL,0,'','',NULL,0,'','','','','','',NULL,'{}',0,0,'');
CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        session TEXT NOT NULL,
        call TEXT NOT NULL,
        data TEXT NOT NULL
    );
INSERT INTO "events" VALUES(1,1000.0,'call_finished','main','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"exit_code":3}');
INSERT INTO "events" VALUES(2,1002.0,'approval_asked','main','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{}');
CREATE TABLE grants (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        scope TEXT NOT NULL,
        session TEXT NOT NULL,
        profile TEXT NOT NULL,
        tool TEXT NOT NULL,
        args TEXT NOT NULL,
        bound TEXT NOT NULL,
        call TEXT NOT NULL,
        asked_by TEXT NOT NULL,
        granted_at REAL NOT NULL,
        granted_by TEXT NOT NULL,
        count INTEGER,
        used INTEGER NOT NULL,
        until REAL,
        context TEXT NOT NULL,
        last_used_at REAL,
        ended_at REAL,
        ended_by TEXT NOT NULL
    );
INSERT INTO "grants" VALUES(1,'cccccccccccccccccccccccccccccccc','session','main','python','execute','{"command":"true"}','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','interrupt_on = true',1003.0,'uid 1000 (alice)',3,1,NULL,'{"cwd":"/workspace"}',1004.0,NULL,'');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('instance','0badcafe');
CREATE TABLE outputs (
        call TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        data BLOB
    );
INSERT INTO "outputs" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',19,X'0000000000000000010600000068656C6C6F0A');
CREATE TABLE sessions (
        name TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        wanted TEXT NOT NULL,
        created_at REAL NOT NULL,
        last_active REAL NOT NULL,
        generation INTEGER NOT NULL,
        declared INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "sessions" VALUES('main','python','running',0.0,0.0,0,0);
CREATE INDEX calls_of_session ON calls (session, number);
CREATE INDEX calls_open ON calls (number) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX calls_by_key ON calls (session, idempotency_key)
        WHERE idempotency_key <> '';
CREATE INDEX approvals_pending ON approvals (number) WHERE state = 'pending';
CREATE INDEX grants_active ON grants (profile, tool) WHERE ended_at IS NULL;
COMMIT;
PRAGMA user_version = 2;
