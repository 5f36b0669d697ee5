//! sidegate-harness
