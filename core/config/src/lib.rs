//! sidegate-config
