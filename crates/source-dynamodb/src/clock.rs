//! Time: AWS's clock against this machine's, and what the SDK calls a time as milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// Milliseconds since 1970, rounded: the SDK reads AWS's floating point number a few nanoseconds short, and
/// cutting it off would be a millisecond early. `None` outside of what 64 bits hold.
pub(crate) fn epoch_ms(time: &DateTime) -> Option<i64> {
    i64::try_from((time.as_nanos() + 500_000).div_euclid(1_000_000)).ok()
}

/// How far AWS's clock is ahead of this machine's, by the latest answer. Cloning shares it.
///
/// `Date` is the second in which the answer was written, so it is behind AWS's time twice: by the rest of that
/// second, and by the answer's way to us. The figure is never more than the truth.
#[derive(Clone, Debug, Default)]
pub(crate) struct AwsClock {
    ahead_ms: Arc<AtomicI64>,
}

impl AwsClock {
    /// Milliseconds, negative if AWS is behind; 0 before the first answer.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    fn answered(&self, date: &str, received: SystemTime) {
        let aws_ms = DateTime::from_str(date, Format::HttpDate)
            .ok()
            .and_then(|time| epoch_ms(&time));
        let received_ms = received
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_nanos().div_ceil(1_000_000)).ok());
        if let (Some(aws_ms), Some(received_ms)) = (aws_ms, received_ms) {
            self.ahead_ms.store(aws_ms - received_ms, Ordering::Relaxed);
        }
    }
}

impl Intercept for AwsClock {
    fn name(&self) -> &'static str {
        "AwsClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        // An answer without an id was written by something in between, whose clock is not AWS's.
        if headers.get("x-amzn-requestid").is_some()
            && let Some(date) = headers.get("date")
        {
            self.answered(date, SystemTime::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn the_latest_date_against_the_time_of_receipt_is_how_far_aws_is_ahead() {
        let clock = AwsClock::default();
        assert_eq!(clock.ahead_ms(), 0);
        clock.answered("Tue, 30 Jul 2024 17:24:52 GMT", at(1_722_360_290_250));
        assert_eq!(clock.ahead_ms(), 1750);
        clock.answered("Tue, 30 Jul 2024 17:24:52 GMT", at(1_722_360_292_999));
        assert_eq!(clock.ahead_ms(), -999, "never more than the truth");
    }

    #[test]
    fn a_date_that_is_none_changes_nothing() {
        let clock = AwsClock::default();
        clock.answered("Tue, 30 Jul 2024 17:24:52 GMT", at(1_722_360_290_000));
        for text in ["", "yesterday", "1722360292", "Tue, 30 Jul 2024"] {
            clock.answered(text, at(0));
        }
        assert_eq!(clock.ahead_ms(), 2000);
    }

    #[test]
    fn times_are_rounded_to_the_millisecond() {
        let time = |seconds, nanos| DateTime::from_secs_and_nanos(seconds, nanos);
        assert_eq!(
            epoch_ms(&time(1_795_336_838, 23_999_929)),
            Some(1_795_336_838_024)
        );
        assert_eq!(epoch_ms(&time(-1, 999_999_999)), Some(0));
        assert_eq!(epoch_ms(&DateTime::from_secs(i64::MAX)), None);
    }
}
