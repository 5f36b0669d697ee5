//! sidegate-router
