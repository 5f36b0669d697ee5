//! The command line.

use std::path::PathBuf;

use sidegate_harness::Spoken;

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// After the requests.
    pub mode: Mode,
    /// What client and origin speak.
    pub spoken: Spoken,
    /// How many Sidegates, and what they speak among themselves.
    pub chain: Chain,
    /// Where Sidegate listens.
    pub port: u16,
    /// The `sidegate` binary.
    pub binary: PathBuf,
    /// The module to load.
    pub module: PathBuf,
    /// The one that takes its place.
    pub next: PathBuf,
}

/// What happens after the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Stay up until Ctrl-C.
    Stay,
    /// End with the verdict as exit code.
    Check,
}

/// What stands between client and origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// One Sidegate.
    One,
    /// Two that speak mutual TLS with each other.
    TwoWithTls,
}

const USAGE: &str =
    "usage: sidegate-demo [--check] [--http2] [--tls] [--port PORT] --bin PATH --module PATH --next PATH";

impl Arguments {
    /// Parses what follows the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let (mut mode, mut spoken, mut chain, mut port) = (Mode::Stay, Spoken::Http1, Chain::One, 2046);
        let (mut binary, mut module, mut next) = (None, None, None);
        while let Some(word) = words.next() {
            if word == "--check" {
                mode = Mode::Check;
                continue;
            }
            if word == "--http2" {
                spoken = Spoken::Http2;
                continue;
            }
            if word == "--tls" {
                chain = Chain::TwoWithTls;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} wants a value\n{USAGE}"))?;
            match word.as_str() {
                "--port" => {
                    port = value.parse().map_err(|_| format!("DEMO_PORT is no port: {value:?}"))?;
                }
                "--bin" => binary = Some(PathBuf::from(value)),
                "--module" => module = Some(PathBuf::from(value)),
                "--next" => next = Some(PathBuf::from(value)),
                _ => return Err(format!("unknown argument {word}\n{USAGE}")),
            }
        }
        match (binary, module, next) {
            (Some(binary), Some(module), Some(next)) => {
                Ok(Arguments { mode, spoken, chain, port, binary, module, next })
            }
            _ => Err(USAGE.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn paths_are_needed_and_the_rest_has_defaults() {
        let got = parse("--bin b --module m --next n").unwrap();
        let (binary, module, next) = ("b".into(), "m".into(), "n".into());
        let (mode, spoken, chain) = (Mode::Stay, Spoken::Http1, Chain::One);
        assert_eq!(got, Arguments { mode, spoken, chain, port: 2046, binary, module, next });
        let got = parse("--check --http2 --tls --port 1 --bin b --module m --next n").unwrap();
        assert_eq!((got.mode, got.spoken, got.chain, got.port), (Mode::Check, Spoken::Http2, Chain::TwoWithTls, 1));
        for line in ["", "--bin b", "--bin b --module", "--bin b --module m", "--bin b --module m --next n --what x"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("--port x --bin b --module m --next n").unwrap_err().contains("DEMO_PORT"));
    }
}
