mod errors;
mod files;
mod support;
mod values;
