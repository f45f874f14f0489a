//! Whether a text is base64 as AWS writes it.

/// 1 for the 64 characters of the standard alphabet.
const ALPHABET: [u8; 256] = {
    let mut table = [0; 256];
    let all = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < all.len() {
        table[all[at] as usize] = 1;
        at += 1;
    }
    table
};

/// Standard alphabet, padded, and no bits left over: one value has exactly one text, so that a binary key
/// cannot become two rows.
pub(super) fn is_base64(text: &[u8]) -> bool {
    if !text.len().is_multiple_of(4) {
        return false;
    }
    let (body, last_allowed): (_, &[u8]) = match text {
        [body @ .., b'=', b'='] => (body, b"AQgw"),
        [body @ .., b'='] => (body, b"AEIMQUYcgkosw048"),
        body => (body, b""),
    };
    let last_fits =
        last_allowed.is_empty() || body.last().is_some_and(|c| last_allowed.contains(c));
    last_fits && body.iter().all(|byte| ALPHABET[usize::from(*byte)] == 1)
}
