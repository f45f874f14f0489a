-- Lost changes that a full export had: the stream is followed while it is loaded, so that it still brings what it has.
ALTER TABLE mirror_state ADD COLUMN swept_until_ms INTEGER;
