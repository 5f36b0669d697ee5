//! Lines that a plugin writes to its standard error, as lines of our log.

use serde_json::Value;
use tracing::Level;

/// What a line says, and how important it says that is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) level: Level,
    pub(crate) message: String,
}

impl LogLine {
    /// Reads a line of hclog's JSON, or one with a level in brackets, as hclog
    /// and many others write them. Any other is worth knowing: a trace of a
    /// crash has no level.
    pub(crate) fn parse(line: &[u8]) -> LogLine {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        Self::of_json(text)
            .or_else(|| Self::in_brackets(text))
            .unwrap_or_else(|| LogLine { level: Level::INFO, message: text.to_owned() })
    }

    fn of_json(text: &str) -> Option<LogLine> {
        if !text.starts_with('{') {
            return None;
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return None };
        let text_of = |name| fields.get(name).and_then(Value::as_str);
        let level = level(text_of("@level")?)?;
        let mut message = String::new();
        if let Some(module) = text_of("@module") {
            message = format!("{module}: ");
        }
        message.push_str(text_of("@message").unwrap_or_default());
        for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with('@')) {
            match value {
                Value::String(value) => message.push_str(&format!(" {name}={value:?}")),
                value => message.push_str(&format!(" {name}={value}")),
            }
        }
        Some(LogLine { level, message })
    }

    /// `[INFO] text`, or the same behind a time stamp.
    fn in_brackets(text: &str) -> Option<LogLine> {
        const STAMP: usize = 40;
        let open = text.find('[')?;
        let (before, rest) = (&text[..open], &text[open + 1..]);
        let (word, message) = rest.split_once(']')?;
        let is_stamp = before.len() <= STAMP && before.bytes().all(|b| b.is_ascii_digit() || b"-:.,/TZ+ ".contains(&b));
        let level = level(word.trim()).filter(|_| is_stamp)?;
        Some(LogLine { level, message: message.trim_start().to_owned() })
    }

    /// Writes it into the log of this process.
    pub(crate) fn emit(&self, plugin: &str) {
        let message = &*self.message;
        match self.level {
            Level::ERROR => tracing::error!(plugin, "plugin: {message}"),
            Level::WARN => tracing::warn!(plugin, "plugin: {message}"),
            Level::INFO => tracing::info!(plugin, "plugin: {message}"),
            Level::DEBUG => tracing::debug!(plugin, "plugin: {message}"),
            Level::TRACE => tracing::trace!(plugin, "plugin: {message}"),
        }
    }
}

fn level(word: &str) -> Option<Level> {
    Some(match word.to_ascii_lowercase().as_str() {
        "trace" => Level::TRACE,
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warn" | "warning" => Level::WARN,
        "error" | "err" | "fatal" | "critical" => Level::ERROR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Level, String) {
        let line = LogLine::parse(text.as_bytes());
        (line.level, line.message)
    }

    #[test]
    fn levels_are_read_where_they_stand() {
        for (text, level, message) in [
            (
                r#"{"@level":"warn","@message":"low","@module":"m","@timestamp":"t","n":1,"s":"a b"}"#,
                Level::WARN,
                r#"m: low n=1 s="a b""#,
            ),
            ("[ERROR] broken", Level::ERROR, "broken"),
            ("2026-01-02T03:04:05.678Z [DEBUG] m: x", Level::DEBUG, "m: x"),
            ("2026/01/02 03:04:05 [WARN]  m: x", Level::WARN, "m: x"),
            ("plain words", Level::INFO, "plain words"),
            ("array [info] is not a level", Level::INFO, "array [info] is not a level"),
            ("[7] seven", Level::INFO, "[7] seven"),
            (r#"{"level":"error"}"#, Level::INFO, r#"{"level":"error"}"#),
            ("", Level::INFO, ""),
        ] {
            assert_eq!(parsed(text), (level, message.to_owned()), "{text}");
        }
    }
}
