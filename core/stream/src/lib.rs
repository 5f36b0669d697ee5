//! sidegate-stream
