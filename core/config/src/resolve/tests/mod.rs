mod clusters;
mod directories;
mod dumps;
mod errors;
mod files;
mod http2;
mod logs;
mod module_directories;
mod reuse;
mod scale;
mod support;
mod values;

pub(crate) use errors::mistakes;
pub(crate) use support::{BASE, build_env, env, load, registry, varied};
pub(crate) use values::{FULL, replace_node};
