use std::fs;

use super::*;
use crate::test_dir::TestDir;

fn lines(dir: &TestDir, level: LogLevel, events: impl FnOnce(&Logging)) -> Vec<String> {
    let path = dir.file("log");
    let config = LogConfig { target: LogTarget::File(path.clone()), level, rotation: None };
    let (logging, subscriber) = Logging::build(config, &Metrics::new(1)).unwrap();
    tracing::subscriber::with_default(subscriber, || events(&logging));
    assert_eq!(logging.flush(Duration::from_secs(20)), FlushOutcome::Written);
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_event_is_one_line_with_time_level_target_and_fields() {
    let dir = TestDir::new("log-line");
    let lines = lines(&dir, LogLevel::Info, |_| {
        let error = std::io::Error::other("disk\nfull");
        tracing::info!(
            port = 80,
            name = "a b",
            error = &error as &dyn std::error::Error,
            "up at {}",
            "x\r\ny\u{1b}[2J"
        );
    });
    assert_eq!(lines.len(), 1);
    let (time, rest) = lines[0].split_once(' ').unwrap();
    assert_eq!(time.len(), "2026-11-21T10:11:12.123456Z".len());
    assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    assert_eq!(
        rest,
        "INFO sidegate_telemetry::log::tests: up at x\\x0d\\x0ay\\x1b[2J port=80 name=\"a b\" error=disk\\x0afull"
    );
}

#[test]
fn the_level_changes_while_running() {
    let dir = TestDir::new("log-level");
    let lines = lines(&dir, LogLevel::Warn, |logging| {
        for level in [LogLevel::Warn, LogLevel::Debug, LogLevel::Fatal] {
            logging.set_level(level);
            assert_eq!(logging.level(), level);
            tracing::error!("error {level}");
            tracing::warn!("warn {level}");
            tracing::debug!("debug {level}");
            tracing::trace!("trace {level}");
        }
    });
    let messages: Vec<&str> = lines.iter().map(|l| l.rsplit_once(": ").unwrap().1).collect();
    assert_eq!(messages, ["error WARN", "warn WARN", "error DEBUG", "warn DEBUG", "debug DEBUG", "error FATAL"]);
}

/// A peer decides how many there are.
#[test]
fn warnings_of_single_frames_are_for_debugging() {
    let dir = TestDir::new("log-frames");
    let lines = lines(&dir, LogLevel::Info, |logging| {
        for level in [LogLevel::Info, LogLevel::Debug] {
            logging.set_level(level);
            tracing::warn!(target: "h2::proto::ping_pong", "frame {level}");
            tracing::warn!(target: "h2o", "other {level}");
        }
    });
    let messages: Vec<&str> = lines.iter().map(|l| l.split_once(' ').unwrap().1).collect();
    assert_eq!(messages, ["WARN h2o: other INFO", "WARN h2::proto::ping_pong: frame DEBUG", "WARN h2o: other DEBUG"]);
}

#[test]
fn a_log_can_be_switched_off_and_reopened() {
    let dir = TestDir::new("log-switch");
    let lines = lines(&dir, LogLevel::Info, |logging| {
        tracing::info!("before");
        logging.flush(Duration::from_secs(20));
        fs::rename(dir.file("log"), dir.file("log.1")).unwrap();
        logging.reopen();
        logging.flush(Duration::from_secs(20));
        logging.switch(LogSwitch::Off);
        tracing::info!("unheard");
        logging.switch(LogSwitch::On);
        tracing::info!("after");
    });
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with(": after"));
    assert!(fs::read_to_string(dir.file("log.1")).unwrap().ends_with(": before\n"));
}

#[test]
fn a_long_event_is_cut() {
    let dir = TestDir::new("log-long");
    let lines = lines(&dir, LogLevel::Info, |_| tracing::info!("{}", "ü".repeat(20_000)));
    assert!(lines[0].len() < 9000 && lines[0].ends_with("ü..."));
}

#[test]
fn levels_have_mosn_names_and_targets_too() {
    for level in LogLevel::ALL {
        assert_eq!(LogLevel::parse(&level.to_string().to_lowercase()), Some(level));
    }
    assert_eq!(LogLevel::parse("VERBOSE"), None);
    assert_eq!(LogTarget::parse("stdout"), LogTarget::Stdout);
    assert_eq!(LogTarget::parse(""), LogTarget::Stderr);
    assert_eq!(LogTarget::parse("./x.log"), LogTarget::File("./x.log".into()));
}

#[test]
fn the_log_goes_elsewhere_without_losing_a_line() {
    let dir = TestDir::new("log-turn");
    let lines = lines(&dir, LogLevel::Info, |logging| {
        tracing::info!("before");
        let elsewhere = |name| LogConfig { target: LogTarget::File(dir.file(name)), ..LogConfig::default() };
        let next = logging.prepare(&elsewhere("other")).unwrap();
        tracing::info!("prepared only");
        let former = logging.sink();
        logging.turn_to(next);
        tracing::info!("after");
        assert_eq!(logging.target(), LogTarget::File(dir.file("other")));
        assert_eq!(former.flush(Duration::from_secs(20)), FlushOutcome::Written);
        // Where nothing can be written, nothing changes.
        fs::write(dir.file("plain"), "").unwrap();
        assert!(logging.prepare(&elsewhere("plain/log")).is_err());
        // The same again opens nothing and goes on.
        let same = logging.prepare(&elsewhere("other")).unwrap();
        logging.turn_to(same);
        tracing::info!("still");
    });
    let messages = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.rsplit_once(": ").unwrap().1.to_owned()).collect()
    };
    assert_eq!(messages(&lines), ["before", "prepared only"]);
    let other = fs::read_to_string(dir.file("other")).unwrap();
    assert_eq!(messages(&other.lines().map(str::to_owned).collect::<Vec<_>>()), ["after", "still"]);
}

#[test]
fn how_it_is_rotated_changes_while_running() {
    let dir = TestDir::new("log-rotation-change");
    let megabytes = |logging: &Logging, count: usize| {
        for _ in 0..count * 170 {
            tracing::info!("{}", "x".repeat(8000));
            if logging.flush(Duration::from_secs(20)) == FlushOutcome::TimedOut {
                panic!("the log takes no lines");
            }
        }
    };
    let files = || fs::read_dir(dir.file("log").parent().unwrap()).unwrap().count();
    lines(&dir, LogLevel::Info, |logging| {
        megabytes(logging, 2);
        assert_eq!(files(), 1);
        let rotation = Some(LogRotation::parse("size=1").unwrap());
        let (target, level) = (LogTarget::File(dir.file("log")), LogLevel::Info);
        let next = logging.prepare(&LogConfig { target, rotation, level }).unwrap();
        logging.turn_to(next);
        megabytes(logging, 2);
        assert!(files() > 1, "set aside");
    });
}
