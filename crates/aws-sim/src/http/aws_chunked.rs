//! The `aws-chunked` framing of uploads: `size[;chunk-signature=…]`, data, and trailers after the last chunk.

use bytes::{Bytes, BytesMut};

/// Removes the framing; `None` if it is malformed.
pub fn decode(body: &[u8]) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(body.len());
    let mut rest = body;
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(out.freeze());
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
