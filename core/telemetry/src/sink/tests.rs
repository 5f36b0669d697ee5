use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use sidegate_api::Metrics;

use super::*;
use crate::test_dir::TestDir;

const PATIENCE: Duration = Duration::from_secs(20);

fn open(path: &Path, pace: Pace) -> LogSink {
    LogSink::open(LogTarget::File(path.to_path_buf()), None, pace, None).unwrap()
}

fn line(sink: &LogSink, text: &str) {
    sink.push(|out| {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    });
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn lines_of_many_threads_arrive_whole_and_in_each_ones_order() {
    const THREADS: usize = 8;
    const LINES: usize = 2000;
    for pace in [Pace::AtOnce, Pace::Batched] {
        let dir = TestDir::new(&format!("many-{pace:?}"));
        let path = dir.file("log");
        let sink = open(&path, pace);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let sink = &sink;
                scope.spawn(move || (0..LINES).for_each(|number| line(sink, &format!("{thread} {number}"))));
            }
        });
        assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
        let mut next = [0; THREADS];
        let text = read(&path);
        for (thread, number) in text.lines().map(|l| l.split_once(' ').unwrap()) {
            let next = &mut next[thread.parse::<usize>().unwrap()];
            // With several buffers a thread may have to use a neighbour's, which
            // the writer may empty earlier; nothing is lost either way.
            if pace == Pace::AtOnce {
                assert_eq!(*next, number.parse::<usize>().unwrap());
            }
            *next += 1;
        }
        assert_eq!(next, [LINES; THREADS]);
        assert_eq!(sink.dropped(), 0);
    }
}

#[test]
fn a_sleeping_writer_is_woken_by_each_line() {
    for (pace, rounds) in [(Pace::AtOnce, 3000), (Pace::Batched, 5)] {
        let dir = TestDir::new(&format!("wake-{pace:?}"));
        let path = dir.fifo("pipe");
        let sink = open(&path, pace);
        let mut reader = BufReader::new(fs::File::open(&path).unwrap());
        for round in 0..rounds {
            line(&sink, &round.to_string());
            let mut got = String::new();
            reader.read_line(&mut got).unwrap();
            assert_eq!(got, format!("{round}\n"));
        }
    }
}

#[test]
fn a_reopened_file_gets_the_lines_after_and_the_renamed_one_those_before() {
    let dir = TestDir::new("reopen");
    let (path, old) = (dir.file("log"), dir.file("log.1"));
    let sinks = LogSinks::new(Metrics::new(1));
    let sink = sinks.open(&LogTarget::File(path.clone()), None).unwrap();
    line(&sink, "one");
    assert_eq!(sinks.flush(PATIENCE), FlushOutcome::Written);
    fs::rename(&path, &old).unwrap();
    line(&sink, "two");
    sinks.reopen_all();
    assert_eq!(sinks.flush(PATIENCE), FlushOutcome::Written);
    line(&sink, "three");
    assert_eq!(sinks.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(read(&old), "one\ntwo\n");
    assert_eq!(read(&path), "three\n");
}

#[test]
fn a_file_that_cannot_be_reopened_stays_in_use() {
    let dir = TestDir::new("reopen-fails");
    let (path, moved) = (dir.file("folder/log"), dir.file("folder.1"));
    let sink = open(&path, Pace::Batched);
    fs::rename(dir.file("folder"), &moved).unwrap();
    fs::write(dir.file("folder"), "a file in the folder's place").unwrap();
    sink.reopen();
    assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
    line(&sink, "still here");
    assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(read(&moved.join("log")), "still here\n");
}

#[test]
fn a_reader_that_reads_nothing_costs_lines_and_never_waits() {
    const LINES: u64 = 8000;
    let dir = TestDir::new("fifo");
    let path = dir.fifo("pipe");
    let metrics = Metrics::new(1);
    let sinks = LogSinks::new(metrics.clone());
    let sink = sinks.open(&LogTarget::File(path.clone()), None).unwrap();
    let text = "x".repeat(1023);
    // 8 MB of lines: the pipe holds 64 KiB, the sink two times 1 MiB.
    (0..LINES).for_each(|_| line(&sink, &text));
    assert!(sink.dropped() > 0);
    assert_eq!(sink.flush(Duration::from_millis(10)), FlushOutcome::TimedOut);
    let counter = metrics.counter("sidegate_access_log_dropped_total", &[("path", path.to_str().unwrap())]).unwrap();
    assert_eq!(counter.get(), sink.dropped());

    // All that was not counted as lost arrives.
    let mut reader = BufReader::new(fs::File::open(&path).unwrap());
    let mut got = String::new();
    for _ in sink.dropped()..LINES {
        got.clear();
        reader.read_line(&mut got).unwrap();
        assert_eq!(got.trim_end(), text);
    }
    assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(counter.get(), sink.dropped());
}

#[test]
fn lines_that_the_disk_refuses_are_counted() {
    let sink = open(Path::new("/dev/full"), Pace::Batched);
    (0..3).for_each(|_| line(&sink, "lost"));
    assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(sink.dropped(), 3);
}

#[test]
fn logs_of_one_file_share_a_writer_until_the_last_is_gone() {
    let dir = TestDir::new("shared");
    let target = LogTarget::File(dir.file("log"));
    let sinks = LogSinks::new(Metrics::new(1));
    let first = sinks.open(&target, None).unwrap();
    let second = sinks.open(&target, None).unwrap();
    assert!(Arc::ptr_eq(&first.0, &second.0));
    assert_eq!(sinks.sinks().len(), 1);
    let writer = Arc::downgrade(&first.0.0);
    line(&first, "last words");
    drop((first, second));
    assert!(sinks.sinks().is_empty());
    // The writer's thread held the last reference and let it go at its end.
    while writer.strong_count() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(read(&dir.file("log")), "last words\n");
}

#[test]
fn a_switched_off_log_takes_nothing() {
    let dir = TestDir::new("switch");
    let target = LogTarget::File(dir.file("log"));
    let sinks = LogSinks::new(Metrics::new(1));
    let sink = sinks.open(&target, None).unwrap();
    assert_eq!(sinks.switch(&target, LogSwitch::Off), Some(()));
    line(&sink, "no");
    assert_eq!(sinks.switch(&target, LogSwitch::On), Some(()));
    line(&sink, "yes");
    assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(read(&dir.file("log")), "yes\n");
    assert_eq!(sink.dropped(), 0);
    assert_eq!(sinks.switch(&LogTarget::Stdout, LogSwitch::Off), None);
}

#[test]
fn missing_folders_are_made_and_impossible_ones_named() {
    let dir = TestDir::new("folders");
    let deep = dir.file("a/b/c.log");
    drop(open(&deep, Pace::Batched));
    assert!(deep.exists());

    let below_a_file = deep.join("d.log");
    let error = LogSink::open(LogTarget::File(below_a_file), None, Pace::Batched, None).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot make folder {} for the log: ", deep.display())), "{error}");
    let folder = dir.path().to_path_buf();
    let error = LogSink::open(LogTarget::File(folder.clone()), None, Pace::Batched, None).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot write log {}: ", folder.display())), "{error}");
}

#[test]
fn the_discarding_sink_needs_no_writer() {
    let sink = LogSink::discard();
    line(&sink, "nothing");
    assert_eq!(sink.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(sink.dropped(), 0);
}

#[test]
fn rotation_under_load_loses_and_doubles_nothing() {
    use std::io::Read;

    const THREADS: usize = 4;
    const LINES: usize = 3000;
    const MAX: u64 = 20_000;
    let dir = TestDir::new("rotated");
    let path = dir.file("log");
    let sinks = LogSinks::new(Metrics::new(1));
    let rotation = LogRotation {
        max_bytes: std::num::NonZeroU64::new(MAX),
        compression: crate::LogCompression::Gzip,
        ..LogRotation::default()
    };
    let sink = sinks.open(&LogTarget::File(path), Some(rotation)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (sink, sinks) = (&sink, &sinks);
            scope.spawn(move || {
                for number in 0..LINES {
                    line(sink, &format!("{thread} {number}"));
                    if number % 500 == 0 {
                        sinks.reopen_all();
                    }
                }
            });
        }
    });
    assert_eq!(sinks.flush(PATIENCE), FlushOutcome::Written);
    assert_eq!(sink.dropped(), 0);
    // Every file but the last becomes a compressed one, some time.
    let names = || {
        let entries = fs::read_dir(dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    while names().iter().any(|name| name != "log" && !name.ends_with("Z.gz")) {
        std::thread::yield_now();
    }
    let mut seen: Vec<(usize, usize)> = Vec::new();
    let files = names();
    assert!(files.len() > 3, "{files:?}");
    for name in &files {
        let mut text = String::new();
        let file = fs::File::open(dir.file(name)).unwrap();
        match name.ends_with(".gz") {
            true => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
            false => BufReader::new(file).read_to_string(&mut text).unwrap(),
        };
        assert!(text.len() as u64 <= MAX, "{name}: {} bytes", text.len());
        seen.extend(text.lines().map(|line| {
            let (thread, number) = line.split_once(' ').unwrap();
            (thread.parse::<usize>().unwrap(), number.parse::<usize>().unwrap())
        }));
    }
    seen.sort_unstable();
    let expected: Vec<_> = (0..THREADS).flat_map(|thread| (0..LINES).map(move |number| (thread, number))).collect();
    assert_eq!(seen, expected);
}
