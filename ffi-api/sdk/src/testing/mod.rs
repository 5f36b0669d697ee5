//! An in-memory host.
