//! sidegate-e2e
