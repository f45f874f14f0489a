-- Metadata of one server. Times are milliseconds since 1970, UTC.

CREATE TABLE installation (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    user_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- A slot is never given twice: the ClickHouse database of a workspace is ws_<slot>, and a database that is
-- being dropped must not meet a new workspace.
CREATE TABLE workspaces (
    slot INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    parent TEXT REFERENCES workspaces (id),
    deleting INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    workspace_id TEXT REFERENCES workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'admin', 'workspace_admin', 'scoped')),
    scopes TEXT NOT NULL,
    -- 1 for a token that a TOKEN line of the project asks for: it goes when the line goes.
    from_files INTEGER NOT NULL DEFAULT 0,
    sha256 BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX tokens_by_name ON tokens (ifnull(workspace_id, ''), name) WHERE revoked_at_ms IS NULL;

CREATE TABLE secrets (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployments (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    files TEXT NOT NULL,
    result TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, number)
) STRICT, WITHOUT ROWID;

-- The live project of a workspace.
CREATE TABLE resources (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    path TEXT NOT NULL,
    text TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, kind, name)
) STRICT, WITHOUT ROWID;

-- Tables that a deployment began to drop or to make and did not finish.
CREATE TABLE unfinished_tables (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    datasource TEXT NOT NULL,
    PRIMARY KEY (workspace_id, datasource)
) STRICT, WITHOUT ROWID;

CREATE TABLE mirrors (
    id TEXT PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    datasource TEXT NOT NULL,
    spec TEXT NOT NULL,
    role_sealed BLOB NOT NULL,
    key_attributes TEXT NOT NULL,
    stopped INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (workspace_id, datasource)
) STRICT, WITHOUT ROWID;

-- Progress of mirrors. Not bound to the table of mirrors: whoever drops a mirror drops its progress with it.
CREATE TABLE mirror_state (
    mirror TEXT PRIMARY KEY,
    table_id TEXT,
    stream_arn TEXT,
    quarantined INTEGER NOT NULL DEFAULT 0,
    gap TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE mirror_exports (
    mirror TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL,
    phase TEXT NOT NULL,
    arn TEXT,
    export_time_ms INTEGER,
    files_total INTEGER NOT NULL,
    files_loaded INTEGER NOT NULL,
    items_total INTEGER NOT NULL,
    items_loaded INTEGER NOT NULL,
    bytes_loaded INTEGER NOT NULL,
    started_at_ms INTEGER,
    load_started_at_ms INTEGER,
    loaded_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE mirror_files (
    mirror TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    key TEXT NOT NULL,
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    PRIMARY KEY (mirror, attempt, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE mirror_shards (
    mirror TEXT NOT NULL,
    shard_id TEXT NOT NULL,
    parent TEXT,
    position TEXT,
    clock_ms INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    finished_at_ms INTEGER,
    caught_up_at_ms INTEGER,
    PRIMARY KEY (mirror, shard_id)
) STRICT, WITHOUT ROWID;
