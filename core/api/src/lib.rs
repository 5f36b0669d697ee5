//! Vocabulary shared by every layer of Sidegate: what a stream is, how a
//! stream filter sees it, how extensions are registered, and how metrics are
//! counted. No I/O happens here and nothing here knows a wire format.
//!
//! Start with [`StreamFilter`] (the extension point), [`StreamState`] (what it
//! works on) and [`Registry`] (how the server learns of it).

#![forbid(unsafe_code)]

mod access_log_sink;
mod address;
mod body;
mod builder;
mod config_error;
mod connection;
mod credentials;
pub mod duration;
mod filter;
mod filter_cx;
mod filter_status;
mod fingerprint;
mod header_case;
mod headers;
mod http2;
mod inherit;
mod label;
mod lower;
mod metadata;
mod metrics;
mod mirror;
pub mod nearest;
mod path;
mod peer;
mod plugin_call;
mod plugin_status;
mod reads;
mod reason;
mod regex_budget;
mod reply;
mod response_flags;
mod resume;
#[cfg(test)]
mod resume_tests;
mod shown;
mod slashes;
mod spoken;
mod stream;
mod sync;
mod tls_meters;
mod validate;
mod variable;

pub use access_log_sink::{AccessLogSink, AccessLogSinkBuilder};
pub use address::{Address, AddressError, PeerText};
pub use body::BodyBuffer;
pub use builder::{
    BuildEnv, FaultPolicy, FilterSpec, GenerationState, GenerationStatus, ModuleSource, ModuleSpec, ModuleStatus,
    Quarantine, QuarantineAction, Registry, StreamFilterBuilder, look_up,
};
pub use config_error::FilterConfigError;
pub use connection::{ConnectionInfo, TlsAgreed, TlsFact, TlsInfo};
pub use credentials::{CertificateBuilder, CertificateProvider, Credentials};
pub use filter::{
    BodyInterest, Completion, EndOfStream, FaultKind, FilterFault, HookSet, Interests, ReceiverPhase, ResetBy,
    RouteFilterConfig, Status, StreamFilter, StreamFilterFactory, Tenure, WorkerIndex,
};
pub use filter_cx::{BodyDirection, EditError, FilterCx, HeaderMapKind, RouteConfigSource};
pub use filter_status::{HookStatus, QuarantinePhase, QuarantineStatus};
pub use fingerprint::Fingerprint;
pub use header_case::HeaderCase;
pub use headers::{HeaderLimit, Headers};
pub use http2::{FrameLimit, FrameLimits, Http2Settings, KeepAlive};
pub use inherit::{InheritError, Inherited};
pub use label::{RouteLabel, RouteNames};
pub use metadata::LbMetadata;
pub use metrics::{
    CallTimes, Counter, CounterFamily, Gauge, Histogram, LATENCY_BUCKETS_MS, MetricBounds, MetricError, MetricFamily,
    MetricKind, MetricSnapshot, Metrics, Observation, Series, SeriesValue, Together, UpDown,
};
pub use mirror::{MirrorFan, MirrorHosts};
pub use path::normalize_path;
pub use peer::{PeerFact, PeerIdentity};
pub use plugin_call::{
    Callee, PluginAnswer, PluginCall, PluginCaller, PluginCallers, PluginFailure, PluginFailureKind, PluginFields,
    PluginRefused, PluginRequest,
};
pub use plugin_status::{LimitKeeper, PluginLimit, PluginLimits, PluginPhase, PluginStatus};
pub use reads::Reads;
pub use reason::Reason;
pub use regex_budget::{RegexBudget, RegexRefused};
pub use reply::{LocalReply, RefusedReply, SetReply};
pub use response_flags::ResponseFlags;
pub use resume::{ResumeHandle, ResumeOutcome, ResumeSlot};
pub use shown::{is_hidden, shown};
pub use slashes::Slashes;
pub use spoken::Spoken;
pub use stream::{
    AnsweredBy, HeadState, Method, Protocol, RequestHead, ResponseHead, StreamInfo, StreamState, whole_micros,
};
pub use tls_meters::{ClientCertificate, Handshake, TlsMeters};
pub use validate::{HeaderProblem, check_filter_header, check_trailer, is_header_value, is_hop_by_hop, is_token};
pub use variable::{Variable, VariableValue, variable_name};

/// Version of the proxy, as `sidegate --version` and the admin page print it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
