//! The plugins that the configuration lets a filter call.

use sidegate_api::{BuildEnv, Callee, FilterConfigError, Fingerprint, ModuleSpec, PluginCallers};

use crate::factory::Plugins;

/// Everything that can be said of them without running anything.
pub(crate) fn check(module: &ModuleSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
    each(module, env, |callers, callee| callers.check(callee, env).map(drop)).map(drop)
}

/// Takes them into use.
pub(crate) fn open(module: &ModuleSpec, env: &BuildEnv) -> Result<Plugins, Vec<FilterConfigError>> {
    let opened = each(module, env, |callers, callee| Ok((callee.name.to_owned(), callers.open(callee, env)?)))?;
    Ok(opened.into_iter().collect())
}

/// `of_file`, and what the plugins depend on. What cannot be read is for the
/// check to say.
pub(crate) fn fingerprint(of_file: Fingerprint, module: &ModuleSpec, env: &BuildEnv) -> Fingerprint {
    let all = each(module, env, |callers, callee| callers.check(callee, env)).unwrap_or_default();
    all.iter().fold(of_file, |sum, one| sum.and(format!("{one:?}").as_bytes()))
}

/// Does `what` with each and gathers what is wrong with all.
fn each<T>(
    module: &ModuleSpec,
    env: &BuildEnv,
    what: impl Fn(&dyn PluginCallers, &Callee<'_>) -> Result<T, Vec<FilterConfigError>>,
) -> Result<Vec<T>, Vec<FilterConfigError>> {
    let (mut done, mut errors) = (Vec::new(), Vec::new());
    for (name, settings) in &module.plugins {
        let path = format!("{}.plugins.{name}", module.source.key());
        match &env.plugins {
            None => errors.push(FilterConfigError::new(path, "this build runs no plugins")),
            Some(callers) => match what(&**callers, &Callee { name, settings, path: &path }) {
                Ok(one) => done.push(one),
                Err(more) => errors.extend(more),
            },
        }
    }
    if errors.is_empty() { Ok(done) } else { Err(errors) }
}
