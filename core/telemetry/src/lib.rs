//! sidegate-telemetry
