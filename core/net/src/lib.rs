//! sidegate-net
