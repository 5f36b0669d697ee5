//! Keys of thread-specific values. A key is the C library's own, with the
//! module's own destructor, so that values, and threads that end, are left to
//! the library; here is only noted whose it is.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::pthread_key_t;

use super::real::Real;
use super::slots::SlotIndex;

type ValueDestructor = Option<unsafe extern "C-unwind" fn(*mut c_void)>;

/// `PTHREAD_KEYS_MAX` of glibc: its keys are numbers below.
const KEYS: usize = 1024;
/// Slot of each key's module, plus one.
static OWNERS: [AtomicUsize; KEYS] = [const { AtomicUsize::new(0) }; KEYS];
static DESTRUCTORS: [AtomicUsize; KEYS] = [const { AtomicUsize::new(0) }; KEYS];

static CREATE: Real = Real::new(c"pthread_key_create");
static DELETE: Real = Real::new(c"pthread_key_delete");
/// C11's name for the first; its numbers for success and failure differ.
static TSS_CREATE: Real = Real::new(c"tss_create");

type Create = unsafe extern "C" fn(*mut pthread_key_t, ValueDestructor) -> c_int;
type Delete = unsafe extern "C" fn(pthread_key_t) -> c_int;

super::threads::with_caller! {
    /// # Safety
    /// As the C library's.
    pthread_key_create => key_create, third argument;
    /// The same; some libraries call it by this name.
    ///
    /// # Safety
    /// As the C library's.
    __pthread_key_create => key_create, third argument;
    /// # Safety
    /// As the C library's.
    tss_create => c11_create, third argument;
    /// # Safety
    /// As the C library's.
    pthread_key_delete => key_delete, second argument;
    /// # Safety
    /// As the C library's.
    tss_delete => c11_delete, second argument;
}

unsafe extern "C" fn key_create(key: *mut pthread_key_t, destructor: ValueDestructor, caller: usize) -> c_int {
    // SAFETY: by the caller's promise.
    unsafe { create(&CREATE, key, destructor, caller) }
}

unsafe extern "C" fn c11_create(key: *mut pthread_key_t, destructor: ValueDestructor, caller: usize) -> c_int {
    // SAFETY: by the caller's promise; both keys are the same number.
    unsafe { create(&TSS_CREATE, key, destructor, caller) }
}

unsafe fn create(real: &Real, key: *mut pthread_key_t, destructor: ValueDestructor, caller: usize) -> c_int {
    let address = real.address();
    if address.is_null() {
        return libc::EAGAIN;
    }
    let code = destructor.map_or(0, |destructor| destructor as *const () as usize);
    let slot = SlotIndex::of(&[code, caller, key.addr()]);
    // SAFETY: the C library's function of this name has this type; arguments
    // by the caller's promise.
    let result = unsafe { std::mem::transmute::<*mut c_void, Create>(address)(key, destructor) };
    if let (Some(slot), 0) = (slot, result) {
        // SAFETY: written by the call that succeeded.
        let number = unsafe { key.read() } as usize;
        if let (Some(owner), Some(known)) = (OWNERS.get(number), DESTRUCTORS.get(number)) {
            known.store(code, Ordering::Relaxed);
            owner.store(usize::from(slot.0) + 1, Ordering::Release);
        }
    }
    result
}

unsafe extern "C" fn key_delete(key: pthread_key_t, caller: usize) -> c_int {
    delete(key, caller)
}

unsafe extern "C" fn c11_delete(key: pthread_key_t, caller: usize) {
    delete(key, caller);
}

fn delete(key: pthread_key_t, caller: usize) -> c_int {
    if let Some(owner) = OWNERS.get(key as usize) {
        let owned_by = owner.load(Ordering::Acquire);
        let slot = SlotIndex::of(&[caller]).map(|slot| usize::from(slot.0) + 1);
        // A module that deletes a key twice must not take somebody else's.
        if slot.is_some_and(|slot| owned_by != 0 && owned_by != slot) {
            return libc::EINVAL;
        }
        owner.store(0, Ordering::Release);
    }
    delete_real(key)
}

fn delete_real(key: pthread_key_t) -> c_int {
    let address = DELETE.address();
    if address.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: the C library's function of this name has this type and checks
    // the number.
    unsafe { std::mem::transmute::<*mut c_void, Delete>(address)(key) }
}

fn owned(slot: SlotIndex) -> impl Iterator<Item = usize> {
    let wanted = usize::from(slot.0) + 1;
    (0..KEYS).filter(move |&key| OWNERS[key].load(Ordering::Acquire) == wanted)
}

/// Destroys this thread's values of `slot`'s keys, once each; whether there
/// were any.
pub(super) fn run_destructors(slot: SlotIndex) -> bool {
    let mut ran = false;
    for key in owned(slot) {
        let number = key as pthread_key_t;
        // SAFETY: the C library checks the number.
        let value = unsafe { libc::pthread_getspecific(number) };
        let code = DESTRUCTORS[key].load(Ordering::Relaxed);
        if value.is_null() || code == 0 {
            continue;
        }
        // SAFETY: as above; the C library forgets a value before it calls.
        unsafe { libc::pthread_setspecific(number, std::ptr::null()) };
        // SAFETY: `create` stored it as a function of this type; its module is
        // held by this thread.
        let destructor =
            unsafe { std::mem::transmute::<*const (), unsafe extern "C-unwind" fn(*mut c_void)>(code as *const ()) };
        // SAFETY: the value that the module set on this thread, once.
        unsafe { destructor(value) };
        ran = true;
    }
    ran
}

/// Gives `slot`'s keys back, whatever values there are: its code is gone.
pub(super) fn delete_all(slot: SlotIndex) {
    for key in owned(slot) {
        OWNERS[key].store(0, Ordering::Release);
        delete_real(key as pthread_key_t);
    }
}
