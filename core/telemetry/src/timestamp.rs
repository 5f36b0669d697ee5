//! RFC 3339 time stamps in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Appends `time` as `2026-11-21T10:11:12.123456Z`. Times before 1970 are
/// shown as 1970.
pub fn write_rfc3339(out: &mut Vec<u8>, time: SystemTime) {
    write_with(out, time, b':');
}

/// The same with `-` for `:`, for names of files.
pub(crate) fn write_stamp(out: &mut Vec<u8>, time: SystemTime) {
    write_with(out, time, b'-');
}

/// The time of a [`write_stamp`], if `text` is one.
pub(crate) fn parse_stamp(text: &str) -> Option<SystemTime> {
    const FORM: &[u8] = b"0000-00-00T00-00-00.000000Z";
    let is_digit_where_due =
        |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    if text.len() != FORM.len() || !text.bytes().zip(FORM).all(is_digit_where_due) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let days = days_since_1970(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let time = UNIX_EPOCH + Duration::new(seconds, 0) + Duration::from_micros(number(20, 26)?);
    // Dates that there are not, such as the 31st of a short month, come back as
    // others.
    let mut again = Vec::with_capacity(FORM.len());
    write_stamp(&mut again, time);
    (again == text.as_bytes()).then_some(time)
}

fn write_with(out: &mut Vec<u8>, time: SystemTime, colon: u8) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since.as_secs(), since.subsec_micros());
    let (year, month, day) = civil_date(seconds / 86_400);
    let second_of_day = seconds % 86_400;
    digits::<4>(out, year);
    out.push(b'-');
    digits::<2>(out, month);
    out.push(b'-');
    digits::<2>(out, day);
    out.push(b'T');
    digits::<2>(out, second_of_day / 3600);
    out.push(colon);
    digits::<2>(out, second_of_day / 60 % 60);
    out.push(colon);
    digits::<2>(out, second_of_day % 60);
    out.push(b'.');
    digits::<6>(out, micros.into());
    out.push(b'Z');
}

/// Appends the last `N` decimal digits of `value`.
pub(crate) fn digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted
/// from March, so that the leap day is a year's last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097; // 400 years
    let from_march_0000 = days + 719_468;
    let era = from_march_0000 / DAYS_PER_ERA;
    let day_of_era = from_march_0000 % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`civil_date`]; `None` for days before 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    (year * 365 + year / 4 + year / 400 + day_of_year).checked_sub(year / 100 + 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: u64, micros: u32) -> String {
        let mut out = Vec::new();
        write_rfc3339(&mut out, UNIX_EPOCH + Duration::new(seconds, micros * 1000));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(shown(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(shown(951_782_399, 7), "2000-02-28T23:59:59.000007Z");
        assert_eq!(shown(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(shown(951_868_800, 0), "2000-03-01T00:00:00.000000Z");
        assert_eq!(shown(1_732_147_200, 0), "2024-11-21T00:00:00.000000Z");
        assert_eq!(shown(4_107_542_399, 999_999), "2100-02-28T23:59:59.999999Z");
        assert_eq!(shown(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn stamps_are_read_back_and_nothing_else_is() {
        for (seconds, micros) in [(0, 0), (951_782_400, 7), (4_107_542_399, 999_999)] {
            let time = UNIX_EPOCH + Duration::new(seconds, micros * 1000);
            let mut stamp = Vec::new();
            write_stamp(&mut stamp, time);
            assert_eq!(parse_stamp(std::str::from_utf8(&stamp).unwrap()), Some(time));
        }
        for text in [
            "",
            "2026-11-21T10:11:12.123456Z",
            "2026-11-31T10-11-12.123456Z",
            "2026-13-01T10-11-12.123456Z",
            "2026-00-01T10-11-12.123456Z",
            "2026-11-00T10-11-12.123456Z",
            "2026-11-21T24-00-00.000000Z",
            "1969-12-31T00-00-00.000000Z",
            "0000-01-01T00-00-00.000000Z",
            "2026-11-21T10-11-12.12345xZ",
            "2026-11-21T10-11-12.123456Z0",
            "2026-11-21T+1-11-12.123456Z",
        ] {
            assert_eq!(parse_stamp(text), None, "{text}");
        }
        assert!((0..200_000).all(|day| {
            let (year, month, day_of_month) = civil_date(day);
            days_since_1970(year, month, day_of_month) == Some(day)
        }));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil_date(0);
        for day in 1..200_000 {
            let date = civil_date(day);
            assert!(date > before, "{date:?} after {before:?}");
            let steps = [date.2 == before.2 + 1, date.2 == 1 && before.2 >= 28];
            assert!(steps.contains(&true), "{date:?} after {before:?}");
            before = date;
        }
    }
}
