//! sidegate-proxy
