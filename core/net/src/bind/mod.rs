//! Where listeners listen.

mod overlap;
mod socket;

pub use overlap::overlap;
pub use socket::{BindError, BoundListener, bind};
