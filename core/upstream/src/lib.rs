//! sidegate-upstream
