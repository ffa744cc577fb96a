//! Moments as people read them.

use std::time::{Duration, UNIX_EPOCH};

/// The first moment that cannot be written: a year of five digits.
const WRITABLE_MS: u64 = 253_402_300_800_000;

/// Milliseconds since 1970 in UTC, as `2026-01-02T03:04:05.678Z`. Any number may come from outside: what is
/// no such moment is told as `-1ms`.
#[must_use]
pub fn time_text(timestamp_ms: i64) -> String {
    match u64::try_from(timestamp_ms).ok().filter(|ms| *ms < WRITABLE_MS) {
        Some(ms) => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
        }
        None => format!("{timestamp_ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_told() {
        assert_eq!(time_text(1_767_323_045_678), "2026-01-02T03:04:05.678Z");
        assert_eq!(time_text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time_text(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        for strange in [-1, i64::MIN, i64::MAX, 253_402_300_800_000] {
            assert_eq!(time_text(strange), format!("{strange}ms"));
        }
    }
}
