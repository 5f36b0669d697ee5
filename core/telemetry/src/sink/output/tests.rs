use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::test_dir::TestDir;

const NOON: u64 = 1_700_000_000 / 86_400 * 86_400 + 43_200;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn by_size(max: u64) -> LogRotation {
    LogRotation { max_bytes: NonZeroU64::new(max), ..LogRotation::default() }
}

fn by_hours(hours: u32) -> LogRotation {
    LogRotation { hours: NonZeroU32::new(hours), ..LogRotation::default() }
}

fn open(path: &Path, rotation: LogRotation) -> Output {
    Output::open(LogTarget::File(path.to_path_buf()), Some(rotation)).unwrap()
}

/// Contents of the files of the log at `path`, the oldest first.
fn files(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut paths: Vec<PathBuf> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|found| found.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.")))
        .collect();
    paths.sort();
    paths.extend(path.exists().then(|| path.to_path_buf()));
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn a_full_file_is_set_aside_between_lines() {
    let dir = TestDir::new("output-size");
    let path = dir.file("log");
    let mut output = open(&path, by_size(10));
    output.write(b"1234\n67", SystemTime::now).unwrap();
    assert_eq!(files(&path), ["1234\n67"]);
    output.write(b"\n", SystemTime::now).unwrap();
    output.write(b"abc\nd\ne\n", SystemTime::now).unwrap();
    output.write(b"a line longer than a file\nb\n", SystemTime::now).unwrap();
    assert_eq!(files(&path), ["1234\n67\n", "abc\nd\ne\n", "a line longer than a file\n", "b\n"]);
}

#[test]
fn what_is_in_the_file_at_the_start_counts() {
    let dir = TestDir::new("output-append");
    let path = dir.file("log");
    fs::write(&path, "12345678\n").unwrap();
    let mut output = open(&path, by_size(10));
    output.write(b"x\n", SystemTime::now).unwrap();
    assert_eq!(files(&path), ["12345678\n", "x\n"]);
}

#[test]
fn the_hour_ends_with_the_first_line_after_it() {
    let dir = TestDir::new("output-time");
    let path = dir.file("log");
    let mut output = open(&path, by_hours(2));
    // The file was opened now; the test's time is another.
    output.rolled.as_mut().unwrap().due = Some(at(NOON + 7200));
    for (seconds, line) in [(0, "a\n"), (7199, "b\n"), (7200, "c\n"), (7300, "d\n"), (40_000, "e\n")] {
        output.write(line.as_bytes(), || at(NOON + seconds)).unwrap();
    }
    assert_eq!(files(&path), ["a\nb\n", "c\nd\n", "e\n"]);
    let names: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains(&"log.2023-11-14T14-00-00.000000Z".to_owned()), "{names:?}");
}

#[test]
fn an_empty_file_is_not_set_aside() {
    let dir = TestDir::new("output-empty");
    let path = dir.file("log");
    let mut output = open(&path, by_hours(1));
    output.rolled.as_mut().unwrap().due = Some(at(NOON));
    output.write(b"a\n", || at(NOON + 10)).unwrap();
    output.write(b"b\n", || at(NOON + 3599)).unwrap();
    output.write(b"c\n", || at(NOON + 3600)).unwrap();
    assert_eq!(files(&path), ["a\nb\n", "c\n"]);
}

#[test]
fn a_file_of_hours_ago_is_set_aside_by_the_next_process() {
    let dir = TestDir::new("output-old");
    let path = dir.file("log");
    fs::write(&path, "old\n").unwrap();
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    let mut output = open(&path, by_hours(1));
    output.write(b"new\n", SystemTime::now).unwrap();
    assert_eq!(files(&path), ["old\n", "new\n"]);
}

#[test]
fn a_file_that_somebody_else_moved_is_not_moved_again() {
    let dir = TestDir::new("output-moved");
    let path = dir.file("log");
    let mut output = open(&path, by_size(4));
    output.write(b"a\n", SystemTime::now).unwrap();
    fs::rename(&path, dir.file("elsewhere")).unwrap();
    fs::write(&path, "theirs\n").unwrap();
    output.write(b"b\nc\n", SystemTime::now).unwrap();
    assert_eq!(fs::read_to_string(dir.file("elsewhere")).unwrap(), "a\nb\n");
    // The other's file is over the limit already and is ours from now on.
    output.write(b"d\n", SystemTime::now).unwrap();
    assert_eq!(files(&path).concat(), "theirs\nc\nd\n");
}

#[test]
fn a_rotation_that_fails_loses_nothing_and_is_tried_again() {
    let dir = TestDir::new("output-fails");
    let (folder, moved) = (dir.file("folder"), dir.file("moved"));
    let path = folder.join("log");
    let mut output = open(&path, by_size(4));
    output.write(b"1\n2\n", SystemTime::now).unwrap();
    fs::rename(&folder, &moved).unwrap();
    fs::write(&folder, "a file in the folder's place").unwrap();
    output.write(b"3\n4\n5\n", SystemTime::now).unwrap();
    assert_eq!(fs::read_to_string(moved.join("log")).unwrap(), "1\n2\n3\n4\n5\n");
    fs::remove_file(&folder).unwrap();
    output.write(b"6\n", SystemTime::now).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "6\n");
}

#[test]
fn a_device_is_not_rotated() {
    let mut output = open(Path::new("/dev/null"), by_size(1));
    output.write(b"a\nb\n", SystemTime::now).unwrap();
    assert!(output.rolled.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_line_is_there_once_and_in_order(
        batches in proptest::collection::vec(proptest::collection::vec(0_usize..30, 0..6), 1..12),
        max in 1_u64..60,
    ) {
        let dir = TestDir::new("output-any");
        let path = dir.file("log");
        let mut output = open(&path, by_size(max));
        let mut expected = String::new();
        for (number, batch) in batches.iter().enumerate() {
            let text: String = batch.iter().map(|length| format!("{number}{}\n", "x".repeat(*length))).collect();
            output.write(text.as_bytes(), SystemTime::now).unwrap();
            expected.push_str(&text);
        }
        let files = files(&path);
        prop_assert_eq!(files.concat(), expected);
        for file in &files {
            prop_assert!(file.len() as u64 <= max || file.lines().count() == 1, "{:?} is over {}", file, max);
        }
        drop(dir);
    }
}
