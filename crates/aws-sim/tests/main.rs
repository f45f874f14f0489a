//! The simulator's own tests, in virtual time but for `http`.

mod access;
mod exports;
mod faults;
mod http;
mod items;
mod lives;
mod scenario;
mod streams;
mod windows;
