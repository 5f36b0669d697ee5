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
