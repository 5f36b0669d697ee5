//! The `date` field.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Text of a `date` field (RFC 9110 section 5.6.7), for years up to 9999.
pub fn http_date(at: SystemTime) -> [u8; 29] {
    format(at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}

/// Formats the date once a second at most.
#[derive(Debug)]
pub struct DateCache {
    second: u64,
    text: [u8; 29],
}

impl DateCache {
    /// A cache that holds the epoch.
    pub fn new() -> Self {
        DateCache { second: 0, text: format(0) }
    }

    /// Text of the `date` field for `now`.
    pub fn at(&mut self, now: SystemTime) -> &[u8; 29] {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if second != self.second {
            self.second = second;
            self.text = format(second);
        }
        &self.text
    }
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

fn format(second: u64) -> [u8; 29] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let (day, in_day) = (second / 86_400, second % 86_400);
    let (year, month, day_of_month) = civil(day);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let weekday = (day % 7) as usize * 3;
    text[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    two_digits(&mut text[5..7], day_of_month);
    text[8..11].copy_from_slice(&MONTHS[month * 3..month * 3 + 3]);
    two_digits(&mut text[12..14], year / 100 % 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], in_day / 3600);
    two_digits(&mut text[20..22], in_day / 60 % 60);
    two_digits(&mut text[23..25], in_day % 60);
    text
}

/// Year, month from 0 and day of the month of a day since the epoch.
fn civil(day: u64) -> (u64, usize, u64) {
    // Counted from 1600-03-01, leap days are the last of their cycles.
    let since_1600 = day + 135_080;
    let (cycle, in_cycle) = (since_1600 / 146_097, since_1600 % 146_097);
    let century = (in_cycle / 36_524).min(3);
    let in_century = in_cycle - century * 36_524;
    let (four, in_four) = (in_century / 1461, in_century % 1461);
    let single = (in_four / 365).min(3);
    let in_year = in_four - single * 365;
    // Months from March have 31, 30, 31, 30, 31 days, over and over.
    let from_march = (5 * in_year + 2) / 153;
    let day_of_month = in_year - (153 * from_march + 2) / 5 + 1;
    let (month, next_year) = if from_march < 10 { (from_march + 2, 0) } else { (from_march - 10, 1) };
    (1600 + cycle * 400 + century * 100 + four * 4 + single + next_year, month as usize, day_of_month)
}

fn two_digits(out: &mut [u8], number: u64) {
    out.copy_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&format(second)), Ok(text));
        }
    }

    #[test]
    fn the_cache_follows_the_clock_both_ways() {
        let mut cache = DateCache::new();
        for second in [784_111_777, 784_111_777, 0] {
            let now = UNIX_EPOCH + Duration::from_millis(second * 1000 + 999);
            assert_eq!(*cache.at(now), http_date(now));
            assert_eq!(*cache.at(now), format(second));
        }
    }
}
