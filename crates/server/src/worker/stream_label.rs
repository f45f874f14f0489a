//! What the ARN of a stream tells.

/// When a stream was asked for, milliseconds: its ARN ends with the time, `.../stream/2015-05-11T21:21:33.291`.
pub(crate) fn stream_began_ms(stream_arn: &str) -> Option<i64> {
    let label = stream_arn.rsplit_once("/stream/")?.1;
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]"
    );
    let began = time::PrimitiveDateTime::parse(label, format)
        .ok()?
        .assume_utc();
    i64::try_from(began.unix_timestamp_nanos() / 1_000_000).ok()
}
