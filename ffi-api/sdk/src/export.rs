//! What a module exports.

use sidegate_abi as abi;

/// What a module's record says about it.
pub struct Identity {
    /// `CARGO_PKG_NAME` of the module.
    pub name: &'static str,
    /// `CARGO_PKG_VERSION` of the module.
    pub version: &'static str,
    /// Toolchain that rustup chose, if it did.
    pub toolchain: Option<&'static str>,
    /// `PANIC_*`.
    pub panic: u16,
}

/// The record of a module.
pub const fn record(identity: Identity) -> abi::ModuleRecord {
    let mut record = abi::ModuleRecord::new(identity.panic);
    record.name = abi::record_text(identity.name);
    record.version = abi::record_text(identity.version);
    record.sdk = abi::record_text("sidegate-sdk");
    record.sdk_version = abi::record_text(env!("CARGO_PKG_VERSION"));
    record.compiler = compiler(identity.toolchain);
    record.layout_digest = abi::LAYOUT_DIGEST;
    #[cfg(feature = "abi_stable")]
    {
        record.abi_stable_version = abi::record_text(abi::ABI_STABLE_VERSION);
    }
    record
}

/// The whole of `sidegate_layout_v1`.
#[cfg(feature = "abi_stable")]
pub fn layout() -> *const std::ffi::c_void {
    let layout: *const _ = abi::layout();
    layout.cast()
}

/// What the feature adds to a module. A macro of its own, because the features
/// of this crate are not those of the crate that uses [`export!`].
#[cfg(feature = "abi_stable")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_layout {
    () => {
        #[no_mangle]
        pub unsafe extern "C" fn sidegate_layout_v1() -> *const ::core::ffi::c_void {
            $crate::__private::layout()
        }
    };
}

/// Without the feature a module has no layout.
#[cfg(not(feature = "abi_stable"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_layout {
    () => {};
}

/// `rustc` and the toolchain's name: Rust code cannot see its compiler's
/// version, but a build through rustup names it.
const fn compiler(toolchain: Option<&str>) -> [u8; 64] {
    let mut text = abi::record_text("rustc");
    if let Some(toolchain) = toolchain {
        let toolchain = toolchain.as_bytes();
        text[5] = b' ';
        let mut index = 0;
        while index < toolchain.len() && index + 6 < 63 {
            text[index + 6] = toolchain[index];
            index += 1;
        }
    }
    text
}

/// Puts a manifest into the module: a JSON object that says which filters it
/// has, how they are configured and what they need. The proxy reads it without
/// running any code of the module: `sidegate inspect` shows it, and
/// configurations are checked by the schemas in it. Once per module; the text
/// is a literal or `include_str!`.
///
/// ```
/// sidegate_sdk::manifest!(
///     r#"{
///         "description": "Checks a token.",
///         "licence": "Apache-2.0",
///         "filters": [{
///             "name": "auth",
///             "config": { "type": "object", "required": ["token"] }
///         }]
///     }"#
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! manifest {
    ($text:expr $(,)?) => {
        const _: () = {
            const TEXT: &str = $text;
            #[allow(non_upper_case_globals)]
            #[no_mangle]
            #[used]
            pub static sidegate_manifest_v1: $crate::__private::Manifest<{ TEXT.len() }> =
                $crate::__private::Manifest::new(TEXT);
        };
    };
}

/// Makes a module of filters: exports the module's record and its entry.
///
/// One filter, under the crate's name:
/// ```
/// # use sidegate_sdk::prelude::*;
/// # #[derive(serde::Deserialize)] struct Auth {}
/// # impl RequestFilter for Auth {
/// #     fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult { Ok(Status::Continue) }
/// # }
/// sidegate_sdk::export!(Auth);
/// # fn main() {}
/// ```
/// Several, chosen by `so_config.filter`:
/// ```
/// # use sidegate_sdk::prelude::*;
/// # #[derive(serde::Deserialize)] struct Auth {}
/// # #[derive(serde::Deserialize)] struct Audit {}
/// # impl RequestFilter for Auth {
/// #     fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult { Ok(Status::Continue) }
/// # }
/// # impl RequestFilter for Audit {
/// #     fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult { Ok(Status::Continue) }
/// # }
/// sidegate_sdk::export! {
///     "auth" => Auth,
///     "audit" => Audit,
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($factory:ty $(,)?) => {
        $crate::export! { ::core::env!("CARGO_PKG_NAME") => $factory }
    };
    ($($name:expr => $factory:ty),+ $(,)?) => {
        const _: () = {
            #[allow(non_upper_case_globals)]
            #[no_mangle]
            #[used]
            pub static sidegate_module_v1: $crate::__private::ModuleRecord =
                $crate::__private::record($crate::__private::Identity {
                    name: ::core::env!("CARGO_PKG_NAME"),
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    toolchain: ::core::option_env!("RUSTUP_TOOLCHAIN"),
                    panic: if ::core::cfg!(panic = "abort") {
                        $crate::__private::PANIC_ABORT
                    } else {
                        $crate::__private::PANIC_UNWIND
                    },
                });

            #[no_mangle]
            pub unsafe extern "C" fn sidegate_create_filter_factory_v1(
                args: *const $crate::__private::CreateArgs,
                result: *mut $crate::__private::CreateResult,
            ) -> u32 {
                let filters: &[(&str, $crate::__private::Maker)] =
                    &[$(($name, $crate::__private::make_factory::<$factory>)),+];
                // SAFETY: the arguments are the host's.
                unsafe { $crate::__private::create(args, result, $crate::__private::Offer { filters }) }
            }

            $crate::__export_layout!();
        };
    };
}
