//! Answers in ClickHouse's RowBinary format: values one after the other, texts with their length before them.
//! See <https://clickhouse.com/docs/interfaces/formats/RowBinary>.

use mirror::error::{Error, ErrorKind, Result};

/// Reads values from an answer.
pub(crate) struct RowBinary<'a> {
    rest: &'a [u8],
    context: &'a str,
}

impl<'a> RowBinary<'a> {
    /// `context` says in errors what was asked.
    pub(crate) fn new(answer: &'a [u8], context: &'a str) -> Self {
        Self {
            rest: answer,
            context,
        }
    }

    /// Whether another row follows.
    pub(crate) fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// An Int64, or what is stored as one, DateTime64 above all.
    pub(crate) fn int64(&mut self) -> Result<i64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(i64::from_le_bytes(bytes))
    }

    /// A String: any bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let mut length = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.take(length);
            }
        }
        Err(self.broken())
    }

    /// A String that we wrote as text.
    pub(crate) fn text(&mut self) -> Result<String> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|_| self.broken())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.broken())?;
        self.rest = rest;
        Ok(taken)
    }

    fn broken(&self) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("{}: ClickHouse's answer cannot be read", self.context),
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn values_come_back_and_a_cut_answer_is_an_error() {
        let mut answer = vec![7];
        answer.extend_from_slice(&(-2_i64).to_le_bytes());
        answer.extend_from_slice(&[0x80 | 0x2c, 0x02]);
        answer.extend_from_slice(&[0xff; 300]);
        let mut values = RowBinary::new(&answer, "x");
        assert_eq!(values.byte().unwrap(), 7);
        assert_eq!(values.int64().unwrap(), -2);
        assert_eq!(values.bytes().unwrap(), [0xff; 300]);
        assert!(!values.has_more());
        for end in 9..answer.len() {
            let mut cut = RowBinary::new(&answer[9..end], "x");
            assert_eq!(cut.bytes().unwrap_err().kind, ErrorKind::Corrupt, "{end}");
        }
        let endless = [0xff; 20];
        assert!(RowBinary::new(&endless, "x").bytes().is_err());
        assert!(RowBinary::new(&[1, 0xff], "x").text().is_err());
    }
}
