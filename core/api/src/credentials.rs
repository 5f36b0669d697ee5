//! Certificates and keys that an extension brings.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use crate::{BuildEnv, FilterConfigError};

/// Who we are and whom we believe, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Our certificate, then its issuers.
    pub certificates: String,
    /// The key of the first. Overwritten when it is dropped.
    pub key: zeroize::Zeroizing<String>,
    /// Certificates of CAs; may be empty.
    pub cas: String,
}

/// Never shows the key.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Brings certificates for as long as somebody holds it.
pub trait CertificateProvider: Send + Sync {
    /// For people: `plugin loader`.
    fn name(&self) -> &str;

    /// What is odd about it, but works.
    fn warning(&self) -> Option<&str> {
        None
    }

    /// What it has now, or why it never had any. May block until the first ones
    /// are there, with a bound: not for a worker.
    fn credentials(&self) -> Result<Arc<Credentials>, String>;

    /// When those of now were taken.
    fn since(&self) -> Option<SystemTime>;

    /// From now on `changed` is called, on another thread, whenever there are
    /// others.
    fn tell(&self, changed: Arc<dyn Fn() + Send + Sync>);
}

/// From settings to providers.
pub trait CertificateBuilder: Send + Sync {
    /// The provider that `settings` mean, the same as before where they mean
    /// the same; `None` where configurations are only looked at. Starts nothing
    /// that takes long.
    fn provider(
        &self,
        settings: &Value,
        env: &BuildEnv,
    ) -> Result<Option<Arc<dyn CertificateProvider>>, Vec<FilterConfigError>>;

    /// What to warn of where a configuration is only looked at and `settings`
    /// mean no provider that there is.
    fn unasked(&self) -> Option<&str> {
        None
    }

    /// JSON Schema of its settings. What it marks `writeOnly` is a secret.
    fn schema(&self) -> Value;
}
