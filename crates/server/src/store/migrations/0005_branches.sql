-- Branches, and tables that hold a sample instead of a mirror.

-- Two workspaces may each have a branch of the same name, so a branch is stored under '<id of its parent>/<name>'.
ALTER TABLE workspaces ADD COLUMN branch_name TEXT;

-- A table that was filled by a sample: whoever connects it to its DynamoDB table makes it anew first, or items that
-- were deleted since would stay for ever.
CREATE TABLE sampled_tables (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    datasource TEXT NOT NULL,
    sampled_at_ms INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, datasource)
) STRICT, WITHOUT ROWID;
