//! When log files are set aside, in MOSN's words.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a log file is set aside for a new one, and what becomes of those set
/// aside. Only files are: what is no regular file stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRotation {
    /// Before it grows beyond so many bytes. A longer line has a file to itself.
    pub max_bytes: Option<NonZeroU64>,
    /// At full hours of UTC whose number since 1970 is a multiple of this, or
    /// rather with the first line after them: 24 is midnight.
    pub hours: Option<NonZeroU32>,
    /// So many files set aside are kept, the newest ones.
    pub keep: Option<NonZeroU32>,
    /// Files set aside longer ago are removed.
    pub max_age: Option<Duration>,
    /// Whether files set aside are compressed.
    pub compression: LogCompression,
}

/// What happens to files set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogCompression {
    /// Nothing.
    #[default]
    Off,
    /// They become `.gz` files.
    Gzip,
}

/// The text is not a rotation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct RotationError {
    expected: &'static str,
    found: String,
}

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// MOSN's, where the text does not rotate by time.
const DEFAULT_MEGABYTES: u64 = 1000;
const DEFAULT_DAYS: u32 = 7;
const DEFAULT_KEEP: u32 = 10;

impl LogRotation {
    /// Reads words such as `size=100 keep=10 compress=on`:
    ///
    /// | word | meaning |
    /// |---|---|
    /// | `time` | rotate every so many hours, 1 to 24 |
    /// | `size` | rotate before the file is larger than so many MiB |
    /// | `age` | remove files after so many days; 0: never |
    /// | `keep` | keep so many files; 0: all |
    /// | `compress` | `on` or `off` |
    ///
    /// Without `time`, MOSN's defaults are `size=1000 age=7 keep=10`; with it,
    /// what is not given does not happen. (MOSN ignores all other words then.)
    pub fn parse(text: &str) -> Result<Self, RotationError> {
        let mut given = Given::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            given.read(name, value).map_err(|expected| RotationError { expected, found: word.to_owned() })?;
        }
        if given == Given::default() {
            let expected = "words like \"size=100 keep=10\" with time, size, age, keep and compress";
            return Err(RotationError { expected, found: text.to_owned() });
        }
        let by_size = given.time.is_none();
        let or_default = |value: Option<u32>, default| value.or(by_size.then_some(default)).and_then(NonZeroU32::new);
        let megabytes = given.size.or(by_size.then_some(DEFAULT_MEGABYTES));
        Ok(LogRotation {
            max_bytes: megabytes.and_then(|count| NonZeroU64::new(count.saturating_mul(MIB))),
            hours: given.time.and_then(NonZeroU32::new),
            keep: or_default(given.keep, DEFAULT_KEEP),
            max_age: or_default(given.age, DEFAULT_DAYS).map(|days| DAY * days.get()),
            compression: given.compress.unwrap_or_default(),
        })
    }

    /// When a file that has lines of `time` is set aside next.
    pub(crate) fn boundary_after(&self, time: SystemTime) -> Option<SystemTime> {
        let period = u64::from(self.hours?.get()) * 3600;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        UNIX_EPOCH.checked_add(Duration::from_secs((since / period).saturating_add(1).saturating_mul(period)))
    }
}

#[derive(Default, PartialEq, Eq)]
struct Given {
    time: Option<u32>,
    size: Option<u64>,
    age: Option<u32>,
    keep: Option<u32>,
    compress: Option<LogCompression>,
}

impl Given {
    /// Fails with what was expected.
    fn read(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "time" => put(&mut self.time, number(value, 1, 24), "`time=` with hours from 1 to 24, once"),
            "size" => put(&mut self.size, number(value, 1, 1 << 20), "`size=` with MiB from 1 to 1048576, once"),
            "age" => put(&mut self.age, number(value, 0, 36_500), "`age=` with days from 0 to 36500, once"),
            "keep" => put(&mut self.keep, number(value, 0, 100_000), "`keep=` with a number from 0 to 100000, once"),
            "compress" => {
                let compression = match value {
                    "on" => Some(LogCompression::Gzip),
                    "off" => Some(LogCompression::Off),
                    _ => None,
                };
                put(&mut self.compress, compression, "`compress=on` or `compress=off`, once")
            }
            _ => Err("`time=`, `size=`, `age=`, `keep=` or `compress=`"),
        }
    }
}

fn put<T>(place: &mut Option<T>, value: Option<T>, expected: &'static str) -> Result<(), &'static str> {
    match value {
        Some(value) if place.is_none() => {
            *place = Some(value);
            Ok(())
        }
        _ => Err(expected),
    }
}

fn number<T: TryFrom<u64>>(text: &str, low: u64, high: u64) -> Option<T> {
    // `parse` alone takes a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (low..=high).contains(number))?;
    T::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mosns_texts_are_understood() {
        let parse = |text| LogRotation::parse(text).unwrap();
        let hourly = LogRotation { hours: NonZeroU32::new(1), ..LogRotation::default() };
        assert_eq!(parse("time=1"), hourly);
        let by_size = LogRotation {
            max_bytes: NonZeroU64::new(100 * MIB),
            hours: None,
            keep: NonZeroU32::new(10),
            max_age: Some(DAY * 7),
            compression: LogCompression::Off,
        };
        assert_eq!(parse("size=100"), by_size);
        assert_eq!(parse(" keep=10\tsize=100 age=7 compress=off "), by_size);
        assert_eq!(parse("compress=on").compression, LogCompression::Gzip);
        assert_eq!(parse("compress=on").max_bytes, NonZeroU64::new(1000 * MIB));
        let all = parse("time=24 size=1 age=0 keep=0 compress=on");
        assert_eq!((all.hours, all.max_bytes), (NonZeroU32::new(24), NonZeroU64::new(MIB)));
        assert_eq!((all.keep, all.max_age, all.compression), (None, None, LogCompression::Gzip));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("", "expected words like \"size=100 keep=10\" with time, size, age, keep and compress, found \"\""),
            ("time=0", "expected `time=` with hours from 1 to 24, once, found \"time=0\""),
            ("time=25", "expected `time=` with hours from 1 to 24, once, found \"time=25\""),
            ("size=1 size=2", "expected `size=` with MiB from 1 to 1048576, once, found \"size=2\""),
            ("size=+1", "expected `size=` with MiB from 1 to 1048576, once, found \"size=+1\""),
            ("age", "expected `age=` with days from 0 to 36500, once, found \"age\""),
            ("compress=yes", "expected `compress=on` or `compress=off`, once, found \"compress=yes\""),
            ("max=3", "expected `time=`, `size=`, `age=`, `keep=` or `compress=`, found \"max=3\""),
        ] {
            assert_eq!(LogRotation::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn hours_end_where_clocks_show_it() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let after = |hours, seconds| {
            LogRotation { hours: NonZeroU32::new(hours), ..LogRotation::default() }.boundary_after(at(seconds))
        };
        assert_eq!(after(1, 0), Some(at(3600)));
        assert_eq!(after(1, 3599), Some(at(3600)));
        assert_eq!(after(1, 3600), Some(at(7200)));
        assert_eq!(after(24, 86_400 * 20_000 + 5), Some(at(86_400 * 20_001)));
        assert_eq!(after(0, 5), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((time|size|age|keep|compress|x)?=?[0-9onf-]{0,3} ?){0,5}") {
            if let Ok(rotation) = LogRotation::parse(&text) {
                prop_assert!(rotation.hours.is_some() || rotation.max_bytes.is_some());
            }
        }
    }
}
