-- Repairs, and new tables for another schema.

-- When rows were last repaired: their versions say nothing about when their items were written.
ALTER TABLE mirror_state ADD COLUMN repaired_ms INTEGER;

-- While a resync fills a table of another schema: the file that the live table was made with, and the generation that
-- will have the new schema.
ALTER TABLE mirrors ADD COLUMN former_text TEXT;
ALTER TABLE mirrors ADD COLUMN refill_generation INTEGER;
