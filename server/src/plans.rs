//! What taking a configuration would change, without taking it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use sidegate_config::{Config, ConfigFile, LoadEnv, LoadMode, WireError, diff};
use sidegate_generic_filter::GenericFilter;
use sidegate_manager::{Refused, Why};
use sidegate_plugin::PluginHost;
use tokio::sync::oneshot;

use crate::compose::filters_beside;
use crate::source::{refused, wanted_workers};
use crate::trust;

/// Compares configurations with the one that runs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Plans(Arc<Shared>);

struct Shared {
    path: PathBuf,
    /// The number of workers of the command line.
    workers: Option<NonZeroUsize>,
    env: LoadEnv,
    plugins: PluginHost,
    running: Mutex<Option<Arc<Config>>>,
}

type Planned = Result<Map<String, Value>, Refused>;

impl Plans {
    pub(crate) fn new(path: PathBuf, workers: Option<NonZeroUsize>, env: LoadEnv, plugins: PluginHost) -> Self {
        Plans(Arc::new(Shared { path, workers, env, plugins, running: Mutex::default() }))
    }

    /// This one runs from now on.
    pub(crate) fn set_running(&self, config: Option<Arc<Config>>) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What `document` would change; an empty one is that of the file. Works
    /// on a thread of its own.
    pub(crate) fn diff(&self, document: Vec<u8>) -> impl Future<Output = Planned> + Send + use<> {
        let shared = self.0.clone();
        let (done, planned) = oneshot::channel();
        let spawned = std::thread::Builder::new().name("differ".into()).spawn(move || {
            let _ = done.send(shared.diff(document));
        });
        async move {
            let failed = |why: String| Err(Refused::because(Why::Environment, why));
            match spawned {
                Err(error) => failed(format!("no thread to compare configurations: {error}")),
                Ok(_) => planned.await.unwrap_or_else(|_| failed("the comparison ended by a panic".to_owned())),
            }
        }
    }
}

impl Shared {
    fn diff(&self, document: Vec<u8>) -> Planned {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(running) = running else {
            return Err(Refused::because(Why::Draining, "nothing runs to compare with"));
        };
        let file = match document.first() {
            None => ConfigFile::read(&self.path).map_err(|errors| refused(&errors))?,
            Some(_) => self.sent(document)?,
        };
        let wanted = file.module_policy(&self.env.working_dir);
        if let Some(why) = trust::refusal(&running.module_policy, &wanted) {
            return Err(Refused::because(Why::NeedsRestart, why));
        }
        let mut registry = filters_beside(self.plugins.clone(), &file);
        // As the configuration permits, which is not what runs.
        let modules = GenericFilter::new(trust::policy(&wanted));
        let modules = modules.map_err(|error| Refused::because(Why::Environment, error.to_string()))?;
        registry.modules(Arc::new(modules));
        let env = LoadEnv { workers: wanted_workers(self.workers, &file, self.env.workers), ..self.env.clone() };
        // None of the code of modules runs.
        let config = file.resolve(&registry, &env, LoadMode::NoLoad, None).map_err(|errors| refused(&errors))?;
        let mut body = Map::new();
        body.insert("ok".to_owned(), true.into());
        body.insert("changes".to_owned(), diff(&running, &config).to_json());
        body.insert("errors".to_owned(), json!([]));
        body.insert("warnings".to_owned(), config.warnings.iter().map(|warning| warning.to_json()).collect());
        Ok(body)
    }

    /// A configuration that came with all its files, or the text of one alone,
    /// whose relative paths begin where those of the running one do.
    fn sent(&self, document: Vec<u8>) -> Result<ConfigFile, Refused> {
        let is_wire = serde_json::from_slice::<Value>(&document).is_ok_and(|value| value.get("files").is_some());
        if is_wire {
            return ConfigFile::from_wire(&document).map_err(|error| match error {
                WireError::Config(errors) => refused(&errors),
                form => Refused::because(Why::Configuration, form.to_string()),
            });
        }
        let text = String::from_utf8(document)
            .map_err(|_| Refused::because(Why::Configuration, "expected UTF-8, found other bytes"))?;
        ConfigFile::parse(&self.path, &text).map_err(|errors| refused(&errors))
    }
}
