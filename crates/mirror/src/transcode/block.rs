//! Looking at a block of bytes at once: one bit of a mask for each byte.

use wide::u8x16;

/// Bytes looked at together.
pub(super) const BLOCK: usize = 32;

/// Block of `input` at `at`, if that many bytes are left.
#[inline(always)]
pub(super) fn block_at(input: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    input.get(at..).and_then(<[u8]>::first_chunk)
}

#[inline(always)]
fn mask(block: &[u8; BLOCK], test: impl Fn(u8x16) -> u8x16) -> u32 {
    let (mut low, mut high) = ([0; 16], [0; 16]);
    low.copy_from_slice(&block[..16]);
    high.copy_from_slice(&block[16..]);
    test(u8x16::new(low)).to_bitmask() | test(u8x16::new(high)).to_bitmask() << 16
}

/// A bit for each byte that ends a run of plain string bytes: quote, backslash or control character.
#[inline(always)]
pub(super) fn specials(block: &[u8; BLOCK]) -> u32 {
    mask(block, |bytes| {
        bytes.simd_eq(u8x16::splat(b'"'))
            | bytes.simd_eq(u8x16::splat(b'\\'))
            | bytes.min(u8x16::splat(0x1F)).simd_eq(bytes)
    })
}

/// Like [`specials`], for half a block.
#[inline(always)]
pub(super) fn half_specials(half: &[u8; BLOCK / 2]) -> u32 {
    let bytes = u8x16::new(*half);
    (bytes.simd_eq(u8x16::splat(b'"'))
        | bytes.simd_eq(u8x16::splat(b'\\'))
        | bytes.min(u8x16::splat(0x1F)).simd_eq(bytes))
    .to_bitmask()
}

/// A bit for each byte that is no digit.
#[inline(always)]
pub(super) fn not_digits(block: &[u8; BLOCK]) -> u32 {
    !mask(block, |bytes| {
        let digit = bytes - u8x16::splat(b'0');
        digit.min(u8x16::splat(9)).simd_eq(digit)
    })
}

/// Copies `from[start..start + len]` to `to[at..]` in whole blocks; both slices have a block to spare behind.
#[inline(always)]
pub(super) fn copy_blocks(from: &[u8], start: usize, to: &mut [u8], at: usize, len: usize) {
    let mut done = 0;
    loop {
        to[at + done..at + done + BLOCK].copy_from_slice(&from[start + done..start + done + BLOCK]);
        done += BLOCK;
        if done >= len {
            return;
        }
    }
}
