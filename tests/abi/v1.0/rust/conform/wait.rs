//! Filter `wait`, as `wait.c`.

use std::ffi::c_void;
use std::sync::mpsc::{channel, Sender};
use std::thread::JoinHandle;

use sidegate_abi as abi;
use sidegate_abi::{CreateResult, FactoryTable, FilterTable, Hook};

use crate::{boxed, call, drop_boxed, no_factory_table, no_filter_table, outcome, run, Host, Outcome};

/// A reference of a resume handle.
struct Handle {
    host: Host,
    handle: *mut abi::Resume,
}

// SAFETY: resume handles may be used on any thread.
unsafe impl Send for Handle {}

impl Handle {
    fn resume(&self) {
        call!(self.host.table, resume(self.handle));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        call!(self.host.table, resume_release(self.handle));
    }
}

struct Waiter {
    host: Host,
    /// Empty while it is dropped, which ends the thread.
    jobs: Option<Sender<(Handle, u32)>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Waiting {
    host: Host,
    jobs: Sender<(Handle, u32)>,
    reply: bool,
}

impl Waiting {
    fn on_request_headers(&mut self, hook: &Hook) -> Outcome<u32> {
        let how = match self.host.header(hook.stream, abi::MAP_REQUEST, "x-wait") {
            Some(how) => how,
            None => return Ok(abi::STATUS_CONTINUE),
        };
        let mut handle = std::ptr::null_mut();
        outcome(call!(self.host.table, resume_handle(hook.stream, &mut handle)))?;
        let handle = Handle { host: self.host, handle };
        self.reply = how == b"reply";
        match &how[..] {
            b"early" => handle.resume(),
            b"twice" => self.jobs.send((handle, 2)).map_err(|_| abi::FAILED)?,
            _ => self.jobs.send((handle, 1)).map_err(|_| abi::FAILED)?,
        }
        Ok(abi::STATUS_PENDING)
    }

    fn on_resume(&mut self, hook: &Hook) -> Outcome<u32> {
        if self.reply {
            return Ok(self.host.reply(hook.stream, 202, "resumed"));
        }
        self.host.set_header(hook.stream, abi::MAP_REQUEST, "x-resumed", b"yes")?;
        Ok(abi::STATUS_CONTINUE)
    }
}

unsafe extern "C" fn on_request_headers(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<Waiting>(filter, hook, Waiting::on_request_headers)
}

unsafe extern "C" fn on_resume(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<Waiting>(filter, hook, Waiting::on_resume)
}

unsafe extern "C" fn create_filter(factory: *mut c_void, _: u32, _: *mut c_void, filter: *mut *mut c_void) -> u32 {
    let waiter = &*factory.cast::<Waiter>();
    match &waiter.jobs {
        Some(jobs) => *filter = boxed(Waiting { host: waiter.host, jobs: jobs.clone(), reply: false }),
        None => return abi::FAILED,
    }
    abi::OK
}

static FACTORY: FactoryTable =
    FactoryTable { destroy: Some(drop_boxed::<Waiter>), create_filter: Some(create_filter), ..no_factory_table() };
static FILTER: FilterTable = FilterTable {
    destroy: Some(drop_boxed::<Waiting>),
    on_request_headers: Some(on_request_headers),
    on_resume: Some(on_resume),
    ..no_filter_table()
};

/// Linux's signal sets on LP64.
type Signals = [u64; 16];

extern "C" {
    fn sigfillset(set: *mut Signals) -> i32;
    fn pthread_sigmask(how: i32, set: *const Signals, before: *mut Signals) -> i32;
}

/// Starts a thread that blocks all signals, as the ABI asks.
fn start(work: impl FnOnce() + Send + 'static) -> Outcome<JoinHandle<()>> {
    const SIG_SETMASK: i32 = 2;
    let (mut all, mut before) = ([0; 16], [0; 16]);
    // SAFETY: both sets are as large as the C library's.
    unsafe {
        sigfillset(&mut all);
        pthread_sigmask(SIG_SETMASK, &all, &mut before);
        let thread = std::thread::Builder::new().spawn(work);
        pthread_sigmask(SIG_SETMASK, &before, &mut all);
        thread.map_err(|_| abi::FAILED)
    }
}

pub(crate) fn create(host: Host, result: &mut CreateResult) -> Outcome<()> {
    let (jobs, queue) = channel::<(Handle, u32)>();
    let thread = start(move || {
        for (handle, times) in queue {
            (0..times).for_each(|_| handle.resume());
        }
    })?;
    result.factory_table = &FACTORY;
    result.filter_table = &FILTER;
    result.factory = boxed(Waiter { host, jobs: Some(jobs), thread: Some(thread) });
    result.interests.phases = 1 << abi::PHASE_AFTER_ROUTE;
    Ok(())
}
