-- What happened to mirrors, for `tb logs`: states they came into, exports, resyncs. An empty data source is the server.
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    datasource TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;

CREATE INDEX history_of_workspace ON history (workspace_id, id);
