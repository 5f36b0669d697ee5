//! RFC 3339 time stamps in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Appends `time` as `2026-11-21T10:11:12.123456Z`. Times before 1970 are
/// shown as 1970.
pub(crate) fn write_rfc3339(out: &mut Vec<u8>, time: SystemTime) {
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
    out.push(b':');
    digits::<2>(out, second_of_day / 60 % 60);
    out.push(b':');
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
