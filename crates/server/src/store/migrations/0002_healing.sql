-- Gaps that heal, and tables that are filled anew beside the live one.

ALTER TABLE mirror_shards RENAME COLUMN caught_up_at_ms TO watermark_ms;

-- A gap that was stored as a text only has an unknown beginning: as old as can be, so that it is filled anew.
ALTER TABLE mirror_state ADD COLUMN gap_since_ms INTEGER;
ALTER TABLE mirror_state ADD COLUMN gap_until_ms INTEGER;
ALTER TABLE mirror_state ADD COLUMN covered_until_ms INTEGER;
ALTER TABLE mirror_state ADD COLUMN healed_from_ms INTEGER;
ALTER TABLE mirror_state ADD COLUMN clock_floor_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mirror_state ADD COLUMN healed INTEGER NOT NULL DEFAULT 0;
-- The healing under way, as JSON.
ALTER TABLE mirror_state ADD COLUMN healing TEXT;

-- part 0 is the backfill, part n the export of window n - 1 of the healing under way.
CREATE TABLE new_exports (
    mirror TEXT NOT NULL,
    part INTEGER NOT NULL,
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
    loaded_at_ms INTEGER,
    PRIMARY KEY (mirror, part)
) STRICT, WITHOUT ROWID;

INSERT INTO new_exports
SELECT mirror, 0, attempt, phase, arn, export_time_ms, files_total, files_loaded, items_total,
       items_loaded, bytes_loaded, started_at_ms, load_started_at_ms, loaded_at_ms
FROM mirror_exports;

DROP TABLE mirror_exports;
ALTER TABLE new_exports RENAME TO mirror_exports;

CREATE TABLE new_files (
    mirror TEXT NOT NULL,
    part INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    key TEXT NOT NULL,
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    PRIMARY KEY (mirror, part, attempt, key)
) STRICT, WITHOUT ROWID;

INSERT INTO new_files SELECT mirror, 0, attempt, key, items, bytes, quarantined FROM mirror_files;

DROP TABLE mirror_files;
ALTER TABLE new_files RENAME TO mirror_files;

-- Which generation of a mirror's table is live, and which one a resync fills. Progress of generation n > 0 is stored
-- under '<mirror>~n'.
CREATE TABLE mirror_generations (
    mirror TEXT PRIMARY KEY,
    live INTEGER NOT NULL,
    shadow INTEGER,
    reason TEXT,
    exchanging INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
