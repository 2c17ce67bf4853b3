"""The tables of `deepd.db`, as numbered migrations: number N brings a file from N-1 to N."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE sessions (
        name TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        wanted TEXT NOT NULL,
        created_at REAL NOT NULL,
        last_active REAL NOT NULL,
        generation INTEGER NOT NULL,
        declared INTEGER NOT NULL
    ) WITHOUT ROWID;

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
    );
    CREATE INDEX calls_of_session ON calls (session, number);
    CREATE INDEX calls_open ON calls (number) WHERE ended_at IS NULL;
    CREATE UNIQUE INDEX calls_by_key ON calls (session, idempotency_key)
        WHERE idempotency_key <> '';

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
    CREATE INDEX approvals_pending ON approvals (number) WHERE state = 'pending';

    CREATE TABLE outputs (
        call TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        data BLOB
    );

    CREATE TABLE bodies (call TEXT PRIMARY KEY, data BLOB NOT NULL);

    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        session TEXT NOT NULL,
        call TEXT NOT NULL,
        data TEXT NOT NULL
    );

    CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        call TEXT NOT NULL,
        body TEXT NOT NULL,
        prev_hash TEXT NOT NULL,
        hash TEXT NOT NULL
    );
    """,
    """
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
    CREATE INDEX grants_active ON grants (profile, tool) WHERE ended_at IS NULL;
    ALTER TABLE calls ADD COLUMN grant TEXT NOT NULL DEFAULT '';
    """,
)

VERSION = len(MIGRATIONS)
