//! `leaves.c` in Rust, on the raw tables of `tests/abi/v1.0/rust/abi` alone,
//! with what Rust 1.63 knows:
//!
//!     rustc --edition 2021 --crate-type rlib --crate-name sidegate_abi tests/abi/v1.0/rust/abi/lib.rs
//!     rustc --edition 2021 --crate-type cdylib -O --extern sidegate_abi=libsidegate_abi.rlib leaves.rs

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use sidegate_abi as abi;
use sidegate_abi::{CreateArgs, CreateResult, FactoryTable, FilterTable, Hook, HostTable, ModuleRecord, Slice};

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static sidegate_module_v1: ModuleRecord = ModuleRecord {
    name: abi::record_text("leaves"),
    version: abi::record_text("1.0.0"),
    sdk: abi::record_text("sidegate-abi"),
    sdk_version: abi::record_text("1.0"),
    compiler: abi::record_text("rustc"),
    ..ModuleRecord::new(abi::PANIC_UNWIND)
};

static HOST: AtomicPtr<HostTable> = AtomicPtr::new(null_mut());
static MODULE: AtomicPtr<abi::Module> = AtomicPtr::new(null_mut());
static OBJECTS: AtomicU64 = AtomicU64::new(0);
static VALUES: AtomicU64 = AtomicU64::new(0);
static THREADS: AtomicU64 = AtomicU64::new(0);
static DETACHED: AtomicU64 = AtomicU64::new(0);
static KEY: AtomicU64 = AtomicU64::new(u64::MAX);

extern "C" {
    fn pthread_key_create(key: *mut u32, destructor: unsafe extern "C" fn(*mut c_void)) -> i32;
    fn pthread_getspecific(key: u32) -> *mut c_void;
    fn pthread_setspecific(key: u32, value: *const c_void) -> i32;
}

fn host() -> &'static HostTable {
    // SAFETY: stored by the entry before anything else of the module runs; the
    // host's table is there for as long as the module is.
    unsafe { &*HOST.load(Ordering::Acquire) }
}

fn count(metric: &AtomicU64) {
    let module = MODULE.load(Ordering::Acquire);
    // SAFETY: the host's function, with the module and metric that it gave.
    unsafe { host().metric_add.unwrap()(module, metric.load(Ordering::Acquire), 1) };
}

struct Object(HashMap<u64, String>);

impl Drop for Object {
    fn drop(&mut self) {
        assert!(!self.0.is_empty());
        count(&OBJECTS);
    }
}

thread_local! {
    static OBJECT: RefCell<Object> = RefCell::new(Object(HashMap::new()));
}

fn touch_object() {
    OBJECT.with(|object| object.borrow_mut().0.insert(1, "text".to_owned()));
    // The standard library keeps the thread itself in another one, or behind a key of its own.
    std::thread::current().unpark();
    std::thread::park_timeout(Duration::from_millis(1));
}

unsafe extern "C" fn destroy_value(_: *mut c_void) {
    count(&VALUES);
}

struct Factory {
    gone: Arc<AtomicBool>,
}

unsafe extern "C" fn destroy(factory: *mut c_void) {
    let factory = Box::from_raw(factory.cast::<Factory>());
    factory.gone.store(true, Ordering::Release);
}

unsafe extern "C" fn create_filter(factory: *mut c_void, _: u32, _: *mut c_void, filter: *mut *mut c_void) -> u32 {
    *filter = factory;
    abi::OK
}

unsafe extern "C" fn keep(_: *mut c_void) {}

unsafe extern "C" fn on_request_headers(_: *mut c_void, hook: *const Hook) -> u32 {
    touch_object();
    let key = KEY.load(Ordering::Acquire) as u32;
    if pthread_getspecific(key).is_null() {
        pthread_setspecific(key, (&KEY as *const AtomicU64).cast());
    }
    let mut resume = null_mut();
    match host().resume_handle.unwrap()((*hook).stream, &mut resume) {
        abi::OK => abi::STATUS_CONTINUE,
        _ => abi::STATUS_FAULT,
    }
}

#[no_mangle]
pub unsafe extern "C" fn sidegate_thread_detach_v1() {
    count(&DETACHED);
}

static FACTORY: FactoryTable = FactoryTable {
    size: size_of::<FactoryTable>() as u64,
    destroy: Some(destroy),
    create_filter: Some(create_filter),
    create_route_config: None,
    destroy_route_config: None,
    worker_attach: None,
    worker_detach: None,
};

static FILTER: FilterTable = FilterTable {
    size: size_of::<FilterTable>() as u64,
    destroy: Some(keep),
    on_request_headers: Some(on_request_headers),
    on_request_body: None,
    on_request_trailers: None,
    on_response_headers: None,
    on_response_body: None,
    on_response_trailers: None,
    on_resume: None,
    on_complete: None,
};

#[no_mangle]
pub unsafe extern "C" fn sidegate_create_filter_factory_v1(args: *const CreateArgs, result: *mut CreateResult) -> u32 {
    let (args, result) = (&*args, &mut *result);
    HOST.store(args.host.cast_mut_of(), Ordering::Release);
    MODULE.store(args.module, Ordering::Release);
    for (name, metric) in [
        ("left_objects", &OBJECTS),
        ("left_values", &VALUES),
        ("left_threads", &THREADS),
        ("left_detached", &DETACHED),
    ] {
        let (mut number, name) = (0, Slice::from_bytes(name.as_bytes()));
        let define = host().metric_define.unwrap();
        if define(args.module, abi::METRIC_COUNTER, name, std::ptr::null(), 0, &mut number) != abi::OK {
            return abi::FAILED;
        }
        metric.store(number, Ordering::Release);
    }
    if KEY.load(Ordering::Acquire) == u64::MAX {
        let mut key = 0;
        if pthread_key_create(&mut key, destroy_value) != 0 {
            return abi::FAILED;
        }
        KEY.store(key.into(), Ordering::Release);
    }
    let gone = Arc::new(AtomicBool::new(false));
    let seen = gone.clone();
    // Not joined: it goes on for a while after its factory is gone.
    drop(std::thread::spawn(move || {
        touch_object();
        while !seen.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(20));
        count(&THREADS);
    }));
    result.factory_table = &FACTORY;
    result.filter_table = &FILTER;
    result.factory = Box::into_raw(Box::new(Factory { gone })).cast();
    result.interests.phases = 1 << abi::PHASE_BEFORE_ROUTE;
    abi::OK
}

/// `cast_mut`, which Rust 1.63 does not have.
trait CastMut<T> {
    fn cast_mut_of(self) -> *mut T;
}

impl<T> CastMut<T> for *const T {
    fn cast_mut_of(self) -> *mut T {
        self as *mut T
    }
}
