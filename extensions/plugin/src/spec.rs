//! What a plugin is: a program with its environment, or an address.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::address::PluginAddress;
use crate::limits::Limits;

/// A plugin as configured. Two that are equal are one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginSpec {
    /// For status, metrics and logs.
    pub(crate) name: Arc<str>,
    pub(crate) source: Source,
    pub(crate) backoff: BackoffSpec,
    /// Calls one after the other without an answer after which it is started
    /// again; 0: whatever their number.
    pub(crate) max_timeouts: u32,
    pub(crate) purpose: Purpose,
}

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Filters ask it about streams, or it takes access logs; it is started once
    /// the process serves.
    Streams,
    /// It brings keys: it is started while the configuration is read.
    Keys(Carriers),
}

/// How a plugin may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carriers {
    /// By Unix sockets: the system says who is at the other end.
    Unix,
    /// By TCP too, where it could be anybody on this machine.
    Any,
}

impl Purpose {
    /// Whether a plugin for this may be reached so.
    pub(crate) fn allows(self, address: &PluginAddress) -> bool {
        match (self, address) {
            (Purpose::Keys(Carriers::Unix), PluginAddress::Tcp(_)) => false,
            (Purpose::Streams | Purpose::Keys(_), _) => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Started by this process.
    Program(Box<Program>),
    /// Somebody else starts it.
    Address(PluginAddress),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
    /// Its working directory; `None`: that of this process.
    pub(crate) directory: Option<PathBuf>,
    /// What it may take of the machine.
    pub(crate) limits: Limits,
    pub(crate) env: BTreeMap<String, String>,
    /// Whether it has our own environment too.
    pub(crate) inherits: bool,
    /// By what it knows that it is started as a plugin.
    pub(crate) cookie: (String, String),
    /// Processors that it is told to use.
    pub(crate) max_procs: u64,
    /// Folder for its logs, with a slash at its end.
    pub(crate) log_base: String,
    /// Time until its handshake.
    pub(crate) start_timeout: Duration,
    /// Time from the order to end to the end.
    pub(crate) stop_timeout: Duration,
    /// Of its file, and of files among its arguments.
    pub(crate) digest: [u8; 32],
}

/// Pauses between starts that fail: each twice as long as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackoffSpec {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

impl Program {
    /// Its environment. What stands last counts, as in MOSN: the handshake's
    /// variables are not for others to set.
    pub(crate) fn environment(&self, own: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
        let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
        let mut set = |name: &str, value: &str| all.insert(name.into(), value.into());
        set("MOSN_PROCS", &self.max_procs.to_string());
        set("MOSN_LOGBASE", &self.log_base);
        if self.inherits {
            all.extend(own);
        }
        all.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        for (name, value) in [
            (&*self.cookie.0, &*self.cookie.1),
            ("PLUGIN_MIN_PORT", "10000"),
            ("PLUGIN_MAX_PORT", "25000"),
            ("PLUGIN_PROTOCOL_VERSIONS", "1"),
        ] {
            all.insert(name.into(), value.into());
        }
        all
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Arguments may be secrets.
            Source::Program(program) => write!(f, "{}", program.path.display()),
            Source::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Where a plugin is between starts that failed.
#[derive(Debug)]
pub(crate) struct Backoff {
    spec: BackoffSpec,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(spec: BackoffSpec) -> Self {
        Backoff { spec, next: spec.first }
    }

    /// How long to wait now.
    pub(crate) fn pause(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.spec.most.max(self.spec.first));
        now
    }

    /// It ran for long enough.
    pub(crate) fn reset(&mut self) {
        self.next = self.spec.first;
    }
}

#[cfg(test)]
pub(crate) fn program(path: &str) -> Program {
    Program {
        path: path.into(),
        args: Vec::new(),
        directory: None,
        limits: Limits::default(),
        env: BTreeMap::new(),
        inherits: false,
        cookie: ("MOSN_PLUGIN".into(), "ON".into()),
        max_procs: 1,
        log_base: "logs/".into(),
        start_timeout: Duration::from_secs(10),
        stop_timeout: Duration::from_secs(2),
        digest: [0; 32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshakes_variables_are_not_for_others_to_set() {
        let own = || [("PATH".into(), "/bin".into()), ("MOSN_PROCS".into(), "3".into())].into_iter();
        let env = [("MOSN_PLUGIN".into(), "OFF".into()), ("A".into(), "b".into())].into();
        let clean = Program { env, ..program("/x") };
        let value = |of: &BTreeMap<OsString, OsString>, name: &str| {
            of.get(&OsString::from(name)).map(|value| value.to_string_lossy().into_owned())
        };
        let all = clean.environment(own());
        assert_eq!(value(&all, "MOSN_PLUGIN").as_deref(), Some("ON"));
        assert_eq!(value(&all, "A").as_deref(), Some("b"));
        assert_eq!(value(&all, "PATH"), None);
        assert_eq!(value(&all, "MOSN_PROCS").as_deref(), Some("1"));
        assert_eq!(value(&all, "PLUGIN_PROTOCOL_VERSIONS").as_deref(), Some("1"));
        // As with MOSN, where the host's own variables come later.
        let all = Program { inherits: true, ..clean }.environment(own());
        assert_eq!(value(&all, "PATH").as_deref(), Some("/bin"));
        assert_eq!(value(&all, "MOSN_PROCS").as_deref(), Some("3"));
        assert_eq!(value(&all, "MOSN_PLUGIN").as_deref(), Some("ON"));
    }

    #[test]
    fn pauses_double_up_to_a_cap() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(BackoffSpec { first: ms(100), most: ms(350) });
        let pauses: Vec<_> = (0..4).map(|_| backoff.pause()).collect();
        assert_eq!(pauses, [ms(100), ms(200), ms(350), ms(350)]);
        backoff.reset();
        assert_eq!(backoff.pause(), ms(100));
        let mut never = Backoff::new(BackoffSpec { first: ms(0), most: ms(350) });
        assert_eq!([never.pause(), never.pause()], [ms(0), ms(0)]);
    }
}
