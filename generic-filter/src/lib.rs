//! The stream filter that loads modules: shared libraries that are named in
//! the configuration and speak the module ABI.
//!
//! A module passes through here in this order:
//!
//! 1. [`Preflight`] reads the file once into sealed memory and checks that copy
//!    without running any code of it. [`inspect`] prints what it found.
//! 2. [`GenericFilter`] loads the copy and asks the module for factories, on
//!    one thread of its own.
//! 3. Factories make filters on workers; filters call the module's hooks; the
//!    module calls back through the host's table.
//!
//! What a module hands over is checked as far as it can be: sizes, pointers
//! for NULL, numbers, texts. Streams and resume handles are numbers and not
//! pointers, so that a stale one is recognized.
//!
//! A loaded copy is a *generation*. It lives by what is made of it; then every
//! thread that entered it is detached, and it is unmapped on module-control.

mod accounts;
mod builder;
mod control;
mod create;
mod elf;
mod error_out;
mod factory;
mod filter;
mod generation;
mod go;
mod handover;
mod host;
mod identity;
mod inspect;
mod interpose;
#[cfg(feature = "abi_stable")]
mod layout;
mod loaded;
mod manifest;
mod maps;
mod oversight;
mod plugins;
mod policy;
mod preflight;
mod quarantine;
mod refusal;
mod registry;
mod resume_table;
mod route_config;
mod series;
mod tables;
mod text;
mod timing;
mod unload;
mod wish;
mod workers;

pub use builder::{GenericFilter, Lasting, SendsTo};
pub use inspect::{Inspection, RefusedBecause, Verdict, inspect, inspect_with};
pub use manifest::{Bodies, FilterManifest, Manifest, MetricManifest, Named, Source};
pub use policy::{Policy, Rule, Signatures, Unsigned};
pub use preflight::{Facts, Preflight, RecordFacts, SealedModule, Signer};
pub use refusal::{Reason, Refusal};
pub use wish::{What, Wish};
pub use workers::{Errand, WorkerErrands};
