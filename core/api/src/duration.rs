//! Durations as Go writes them: `1.5s`, `300ms`, `1h2m`, `0`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("expected a duration such as \"30s\"")]
    Empty,
    /// A number alone.
    #[error("expected a duration with a unit (ns, us, ms, s, m or h) such as \"30s\"")]
    NoUnit,
    /// A unit nobody knows.
    #[error("expected a duration with units ns, us, ms, s, m or h")]
    BadUnit,
    /// Below zero.
    #[error("expected a duration that is not negative")]
    Negative,
    /// More than we can hold.
    #[error("expected a duration of less than 292 years")]
    TooLong,
    /// Anything else.
    #[error("expected a duration such as \"300ms\", \"1.5s\" or \"1h2m\"")]
    Malformed,
}

/// Parses what Go's `time.ParseDuration` accepts, except what is negative.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut nanos: u128 = 0;
    let mut rest = unsigned;
    if rest.is_empty() {
        return Err(DurationError::Malformed);
    }
    while !rest.is_empty() {
        let whole = leading_digits(rest);
        let after = rest.get(whole.len()..).unwrap_or_default();
        let fraction = after.strip_prefix('.').map(leading_digits);
        let after = match fraction {
            Some(digits) => after.get(1 + digits.len()..).unwrap_or_default(),
            None => after,
        };
        if whole.is_empty() && fraction.is_none_or(str::is_empty) {
            return Err(DurationError::Malformed);
        }
        let unit_length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_length);
        let scale: u128 = match unit {
            "" => return Err(DurationError::NoUnit),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(DurationError::BadUnit),
        };
        nanos = whole_part(whole, scale)
            .and_then(|whole| nanos.checked_add(whole))
            .and_then(|nanos| nanos.checked_add(fraction.map_or(0, |digits| fraction_part(digits, scale))))
            .filter(|nanos| *nanos <= i64::MAX as u128)
            .ok_or(DurationError::TooLong)?;
        rest = next;
    }
    if text.starts_with('-') && nanos > 0 {
        return Err(DurationError::Negative);
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| DurationError::TooLong)
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn whole_part(digits: &str, scale: u128) -> Option<u128> {
    let whole: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    whole.checked_mul(scale)
}

/// Digits after the point, rounded down to nanoseconds; `scale` has at most 13
/// digits, so no digit after the 18th counts.
fn fraction_part(digits: &str, scale: u128) -> u128 {
    let mut sum = 0;
    let mut divisor = 1_u128;
    for digit in digits.bytes().take(18) {
        divisor *= 10;
        sum = sum * 10 + u128::from(digit - b'0');
    }
    sum * scale / divisor
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("300ms", 300_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1h2m", 3_720_000_000_000),
            ("1m0.25s", 60_250_000_000),
            ("7us", 7_000),
            ("7µs", 7_000),
            ("7μs", 7_000),
            ("+3ns", 3),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("2562047h", 2_562_047 * 3_600_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        use DurationError::*;
        for (text, error) in [
            ("", Empty),
            ("30", NoUnit),
            ("1h30", NoUnit),
            ("3 s", BadUnit),
            ("3d", BadUnit),
            ("-3s", Negative),
            ("s", Malformed),
            (".s", Malformed),
            ("-", Malformed),
            ("+-3s", Malformed),
            ("1e3s", BadUnit),
            ("2562048h", TooLong),
            ("99999999999999999999999999999999999999999999h", TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-+0-9.hmsunµ ]{0,30}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn whole_milliseconds_come_back(millis in 0_u64..1 << 40) {
            prop_assert_eq!(parse_duration(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        }
    }
}
