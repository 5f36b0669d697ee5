mod errors;
mod files;
mod support;
mod values;

pub(crate) use support::{build_env, registry};
