//! HTTP around the world: one port for all services.

pub mod admin;
pub mod aws_chunked;
pub mod delivery;
pub mod load;
pub mod measuring;
pub mod router;
pub mod xml;
