//! sidegate-protocol
