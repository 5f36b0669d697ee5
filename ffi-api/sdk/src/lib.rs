//! sidegate-sdk
