//! sidegate-generic-filter
