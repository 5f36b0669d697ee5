//! A builder that makes a new generation of one module, whatever is loaded.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sidegate_api::{BuildEnv, FilterConfigError, FilterSpec, Fingerprint, StreamFilterBuilder, StreamFilterFactory};

use crate::builder::{GenericFilter, config_error, module_of, sealed};
use crate::loaded::LoadedModule;
use crate::manifest::agrees;
use crate::plugins;
use crate::refusal::Refusal;

/// A generation that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Name of the module.
    pub module: String,
    /// Of which bytes.
    pub what: What,
}

/// Bytes of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Those of the file, read again.
    Fresh,
    /// Those of a former generation, by their digest, whatever is in the file.
    Former([u8; 32]),
}

/// The builder for one resolve: all entries of the module share the new
/// generation.
pub(crate) struct Wishing {
    pub(crate) filter: Arc<GenericFilter>,
    pub(crate) wish: Wish,
    /// Made for the first entry. Held until the resolve is over, as one entry
    /// may be refused before the next is built.
    pub(crate) made: Mutex<Option<Arc<LoadedModule>>>,
}

impl Wishing {
    fn is_wished(&self, spec: &FilterSpec) -> bool {
        spec.module.as_ref().is_some_and(|module| module.name == self.wish.module)
    }
}

impl StreamFilterBuilder for Wishing {
    fn check(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        match self.wish.what {
            What::Former(digest) if self.is_wished(spec) => {
                let module = module_of(spec)?;
                plugins::check(module, env)?;
                let former = self.filter.former(module, &digest, env).map_err(|r| vec![config_error(&r, module)])?;
                match &former.facts.manifest {
                    Some(manifest) => agrees(manifest, &former.file, module, &spec.config),
                    None => Ok(()),
                }
            }
            _ => self.filter.check(spec, env),
        }
    }

    fn fingerprint(&self, spec: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        match self.wish.what {
            What::Former(digest) if self.is_wished(spec) => {
                let of_file = Fingerprint::of(digest);
                spec.module.as_ref().map_or(of_file, |module| plugins::fingerprint(of_file, module, env))
            }
            _ => self.filter.fingerprint(spec, env),
        }
    }

    fn check_directory(&self, directory: &Path) -> Result<(), FilterConfigError> {
        self.filter.check_directory(directory)
    }

    fn renews(&self, spec: &FilterSpec) -> bool {
        self.is_wished(spec)
    }

    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        if !self.is_wished(spec) {
            return self.filter.build(spec, env);
        }
        let module = module_of(spec)?;
        let refused = |refusal: Refusal| vec![config_error(&refusal, module)];
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = match &*made {
            Some(loaded) => loaded.clone(),
            None => {
                let bytes = match self.wish.what {
                    What::Fresh => sealed(&self.filter.open(module, env), module)?,
                    What::Former(digest) => self.filter.former(module, &digest, env).map_err(refused)?,
                };
                let loaded = self.filter.load_anew(bytes, module, env).map_err(refused)?;
                made.insert(loaded).clone()
            }
        };
        drop(made);
        self.filter.finish(&loaded, module, spec, env)
    }
}
