//! Points in time and spans of it, in nanoseconds.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use sidegate_api::duration::parse_duration;

/// Nanoseconds since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub(super) i64);

/// Nanoseconds, of either sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) i64);

/// A part of a date that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    /// From 0.
    Month,
    /// From 1.
    Date,
    /// From 0.
    DayOfMonth,
    /// From 0, which is Sunday.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Span {
    pub(super) const ZERO: Span = Span(0);

    /// As Go writes durations.
    pub(super) fn parse(text: &str) -> Option<Span> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) if !rest.starts_with(['+', '-']) => (true, rest),
            _ => (false, text),
        };
        let nanos = i64::try_from(parse_duration(unsigned).ok()?.as_nanos()).ok()?;
        Some(Span(if negative { -nanos } else { nanos }))
    }
}

/// Seconds.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0 as f64 / SECOND as f64)
    }
}

impl Stamp {
    pub(super) const EPOCH: Stamp = Stamp(0);

    pub(super) fn now() -> Stamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// RFC 3339, such as `2015-01-02T15:04:05.5Z` or with `+01:00`.
    pub(super) fn parse(text: &str) -> Option<Stamp> {
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let is = |at: usize, bytes: &[u8]| text.as_bytes().get(at).is_some_and(|byte| bytes.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (year, month, date) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hours, minutes, seconds) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let days = days_since_1970(year, month, date);
        if civil_date(days) != (year, month, date) || hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let mut rest = text.get(19..)?;
        let mut nanos = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let digits = fraction.get(..length.min(9)).filter(|digits| !digits.is_empty())?;
            nanos = format!("{digits:0<9}").parse().ok()?;
            rest = fraction.get(length..)?;
        }
        let offset = match (rest, rest.len()) {
            ("Z" | "z", _) => 0,
            (_, 6) if rest.starts_with(['+', '-']) && rest.as_bytes().get(3) == Some(&b':') => {
                let part = |from: usize| -> Option<i64> {
                    let digits = rest.get(from..from + 2)?;
                    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
                };
                let minutes = part(1).filter(|h| *h < 24)? * 60 + part(4).filter(|m| *m < 60)?;
                if rest.starts_with('-') { -minutes } else { minutes }
            }
            _ => return None,
        };
        let whole = days * 86_400 + hours * 3600 + minutes * 60 + seconds - offset * 60;
        whole.checked_mul(SECOND)?.checked_add(nanos).map(Stamp)
    }

    pub(super) fn part(self, part: Part) -> i64 {
        let (days, nanos) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, date) = civil_date(days);
        match part {
            Part::FullYear => year,
            Part::Month => month - 1,
            Part::Date => date,
            Part::DayOfMonth => date - 1,
            // 1970 began on a Thursday.
            Part::DayOfWeek => (days + 4).rem_euclid(7),
            Part::DayOfYear => days - days_since_1970(year, 1, 1),
            Part::Hours => nanos / (3600 * SECOND),
            Part::Minutes => nanos / (60 * SECOND) % 60,
            Part::Seconds => nanos / SECOND % 60,
            Part::Milliseconds => nanos / 1_000_000 % 1000,
        }
    }
}

/// RFC 3339 in UTC, with as many decimals as there are.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, date, hours, minutes, seconds] =
            [Part::FullYear, Part::Month, Part::Date, Part::Hours, Part::Minutes, Part::Seconds]
                .map(|part| self.part(part));
        write!(f, "{year:04}-{:02}-{date:02}T{hours:02}:{minutes:02}:{seconds:02}", month + 1)?;
        match self.0.rem_euclid(SECOND) {
            0 => f.write_str("Z"),
            nanos => write!(f, ".{}Z", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}

/// Day 0 is 1970-01-01. By 400 years, each of 146,097 days, which begin in
/// March so that the day that leap years add is the last.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, date)
}

fn days_since_1970(year: i64, month: i64, date: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + date - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stamps_are_read_and_written() {
        for (text, written) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2015-01-02T15:04:05Z", "2015-01-02T15:04:05Z"),
            ("2024-02-29T23:59:59.250Z", "2024-02-29T23:59:59.25Z"),
            ("2024-03-01t01:30:00+02:00", "2024-02-29T23:30:00Z"),
            ("1969-12-31T23:59:59.999999999z", "1969-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(Stamp::parse(text).map(|stamp| stamp.to_string()).as_deref(), Some(written), "{text}");
        }
        for text in [
            "",
            "2015-01-02",
            "2023-02-29T00:00:00Z",
            "2015-01-02T24:00:00Z",
            "2015-01-02T15:04:05",
            "2015-01-02T15:04:05+1:00",
            "9999-01-01T00:00:00Z",
            "2015-01-02T15:04:05.Z",
            "2015-01-02T15:04:05é",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_gos() {
        for (text, nanos) in [("1s", SECOND), ("-1.5ms", -1_500_000), ("0", 0), ("1m1s", 61 * SECOND)] {
            assert_eq!(Span::parse(text), Some(Span(nanos)), "{text}");
        }
        for text in ["", "1", "s", "--1s", "-+1s", "dsl", "9999999h"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        assert_eq!([Span(SECOND), Span(1_500_000_000)].map(|span| span.to_string()), ["1s", "1.5s"]);
    }

    proptest! {
        #[test]
        fn dates_go_there_and_back(days in -200_000_i64..200_000) {
            let (year, month, date) = civil_date(days);
            prop_assert_eq!(days_since_1970(year, month, date), days);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&date));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZtz:.+é-]{0,30}") {
            let _ = (Stamp::parse(&text), Span::parse(&text));
        }
    }
}
