//! Which shards may be read now.
