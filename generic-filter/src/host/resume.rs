//! Resume handles.

use sidegate_abi::{GONE, Resume, Stream};

use super::answer;
use super::arguments::Out;
use super::scope::{with, with_cx};
use crate::resume_table::RESUMES;

fn result(number: u32) -> Result<(), u32> {
    if number == sidegate_abi::OK { Ok(()) } else { Err(number) }
}

pub(super) unsafe extern "C" fn resume_handle(stream: *mut Stream, resume: *mut *mut Resume) -> u32 {
    answer(|| {
        let out = Out::required(resume)?;
        // There is nothing to resume once the stream has ended.
        let handle = with_cx(stream, |cx| if cx.is_ended() { Err(GONE) } else { Ok(cx.resume_handle()) })?;
        let owner = with(stream, |host| Ok(host.core.module.generation.handles.clone()))?;
        let number = RESUMES.insert(handle, owner)?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(number) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn resume(resume: *mut Resume) -> u32 {
    answer(|| result(RESUMES.resume(resume)))
}

pub(super) unsafe extern "C" fn resume_retain(resume: *mut Resume) -> u32 {
    answer(|| result(RESUMES.retain(resume)))
}

pub(super) unsafe extern "C" fn resume_release(resume: *mut Resume) -> u32 {
    answer(|| result(RESUMES.release(resume)))
}
