//! (see the next commit)
