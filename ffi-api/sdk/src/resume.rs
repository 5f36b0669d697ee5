//! Waking a stream that a hook put to sleep.

use std::fmt;

use sidegate_abi as abi;

use crate::host::{check, host_fn, Host};
use crate::HostError;

/// Resumes the stream whose hook returned
/// [`Status::Pending`](crate::Status::Pending), once, from any thread.
/// Those that are left when nothing of the module can run any more are freed
/// with it.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Early {}
/// # impl RequestFilter for Early {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let handle = cx.resume_handle()?;
///     // Also before the hook has returned; the second one finds it done.
///     assert_eq!(handle.resume(), Ok(()));
///     assert_eq!(handle.resume(), Err(HostError::Already));
///     Ok(Status::Pending)
/// }
/// # }
/// # let host = TestHost::new::<Early>(serde_json::json!({})).unwrap();
/// assert_eq!(host.request("GET", "/", &[]).run().hooks(), ["on_request_headers", "on_resume", "destroy"]);
/// ```
/// [`Background`](crate::Background) has an example with a thread.
pub struct ResumeHandle {
    host: Host,
    raw: *mut abi::Resume,
}

// SAFETY: the ABI lets resume, retain and release be called from any thread.
unsafe impl Send for ResumeHandle {}
// SAFETY: as above.
unsafe impl Sync for ResumeHandle {}

impl ResumeHandle {
    /// Takes over one reference.
    ///
    /// # Safety
    /// `raw` came from this host with one reference for the caller.
    pub(crate) unsafe fn from_raw(host: Host, raw: *mut abi::Resume) -> Self {
        ResumeHandle { host, raw }
    }

    /// Lets the stream go on: the host calls `on_resume` on its worker. A
    /// resume before the hook has returned is kept. [`HostError::Already`] and
    /// [`HostError::Gone`] mean that nothing happened.
    pub fn resume(&self) -> Result<(), HostError> {
        if self.raw.is_null() {
            return Err(HostError::Gone);
        }
        let resume = host_fn!(self.host, resume)?;
        // SAFETY: any thread; we hold a reference.
        check(unsafe { resume(self.raw) })
    }
}

impl Clone for ResumeHandle {
    fn clone(&self) -> Self {
        match host_fn!(self.host, resume_retain) {
            // SAFETY: any thread; we hold a reference. The count is the host's
            // to keep: a refusal would make our release one too many, so the
            // copy is then made a handle of nothing.
            Ok(retain) if unsafe { retain(self.raw) } == abi::OK => ResumeHandle { host: self.host, raw: self.raw },
            _ => ResumeHandle { host: self.host, raw: std::ptr::null_mut() },
        }
    }
}

impl Drop for ResumeHandle {
    fn drop(&mut self) {
        if self.raw.is_null() {
            return;
        }
        if let Ok(release) = host_fn!(self.host, resume_release) {
            // SAFETY: any thread; gives back the reference we hold.
            let _ = unsafe { release(self.raw) };
        }
    }
}

impl fmt::Debug for ResumeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeHandle")
    }
}
