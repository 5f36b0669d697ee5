//! sidegate-admin
