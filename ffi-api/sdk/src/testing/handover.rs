//! From one factory's state to the next one's, as the proxy does it.

use std::mem::size_of;

use sidegate_abi as abi;

use super::TestHost;
use crate::host::lent;

/// Longest state, in bytes, as the proxy has it.
const MAX_BYTES: usize = 16 << 20;

impl TestHost {
    /// What the factory exports; `Ok(None)`: nothing. The error is what the
    /// proxy would log.
    pub fn export_state(&self) -> Result<Option<Vec<u8>>, String> {
        let mut written = Written::default();
        let out: *mut Written = &mut written;
        let (code, said) = told(|error| {
            // SAFETY: the SDK's table, a living factory, and a place that
            // outlives the call.
            unsafe { (*self.factory_table).export_state.map(|export| export(self.factory, out.cast(), error)) }
        });
        match code {
            _ if written.is_too_long => Err(format!("the state is longer than {MAX_BYTES} bytes")),
            Some(abi::OK) => Ok(Some(written.bytes)),
            None | Some(abi::NOT_FOUND) => Ok(None),
            Some(_) => Err(said),
        }
    }

    /// Gives the factory these bytes as its predecessor's state. The error is
    /// what the proxy would log.
    pub fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let (code, said) = told(|error| {
            let state = abi::Slice::from_bytes(state);
            // SAFETY: as above; the bytes are lent for the call.
            unsafe { (*self.factory_table).import_state.map(|import| import(self.factory, state, error)) }
        });
        if code == Some(abi::OK) {
            Ok(())
        } else {
            Err(said)
        }
    }

    /// Hands over what `from` exports, as a reload does: whether there was
    /// anything.
    pub fn inherit(&self, from: &TestHost) -> Result<bool, String> {
        match from.export_state()? {
            Some(state) => self.import_state(&state).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Runs a call that may say why it failed.
fn told(call: impl FnOnce(*mut abi::ErrorOut) -> Option<u32>) -> (Option<u32>, String) {
    let mut message = [0_u8; 512];
    let mut error = abi::ErrorOut {
        size: size_of::<abi::ErrorOut>() as u64,
        message: message.as_mut_ptr(),
        message_capacity: message.len() as u64,
        message_len: 0,
        path: std::ptr::null_mut(),
        path_capacity: 0,
        path_len: 0,
    };
    let code = call(&mut error);
    let len = (error.message_len as usize).min(message.len());
    (code, String::from_utf8_lossy(&message[..len]).into_owned())
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    is_too_long: bool,
}

pub(super) unsafe extern "C" fn state_write(state: *mut abi::StateOut, bytes: abi::Slice) -> u32 {
    // SAFETY: what `export_state` above gave, which waits for the export.
    let written = unsafe { &mut *state.cast::<Written>() };
    // SAFETY: lent for the call.
    let bytes = unsafe { lent(bytes) };
    if bytes.len() > MAX_BYTES - written.bytes.len() {
        written.is_too_long = true;
        return abi::LIMIT;
    }
    written.bytes.extend_from_slice(bytes);
    abi::OK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use serde_json::json;

    /// Exports as many bytes as it is told, and takes some.
    struct Keeper {
        len: usize,
        kept: std::sync::Mutex<Vec<u8>>,
    }

    #[derive(serde::Deserialize)]
    struct Kept {
        len: Option<usize>,
    }

    struct Idle;

    impl FilterFactory for Keeper {
        type Config = Kept;
        type Filter<'f> = Idle;

        fn new(config: Kept, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
            Ok(Keeper { len: config.len.unwrap_or(usize::MAX), kept: std::sync::Mutex::default() })
        }

        fn filter(&self, _: &FilterEnv<'_>) -> Idle {
            Idle
        }

        fn export_state(&self) -> Option<Vec<u8>> {
            assert_ne!(self.len, 13, "unlucky");
            (self.len != usize::MAX).then(|| vec![7; self.len])
        }

        fn import_state(&self, state: &[u8]) -> Result<(), Fault> {
            if state.contains(&9) {
                bail!("nine");
            }
            assert!(!state.contains(&8), "eight");
            self.kept.lock()?.extend(state);
            Ok(())
        }
    }

    impl Filter for Idle {
        const HOOKS: Hooks = Hooks::new().complete();
    }

    struct Plain;

    impl FilterFactory for Plain {
        type Config = NoConfig;
        type Filter<'f> = Idle;

        fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
            Ok(Plain)
        }

        fn filter(&self, _: &FilterEnv<'_>) -> Idle {
            Idle
        }
    }

    fn keeper(config: serde_json::Value) -> TestHost {
        TestHost::new::<Keeper>(config).unwrap()
    }

    #[test]
    fn state_goes_over_up_to_the_limit() {
        let after = keeper(json!({}));
        for len in [0, 1, MAX_BYTES] {
            let before = keeper(json!({ "len": len }));
            assert_eq!(before.export_state().unwrap().map(|state| state.len()), Some(len));
            assert_eq!(after.inherit(&before), Ok(true));
        }
        let refused = after.inherit(&keeper(json!({ "len": MAX_BYTES + 1 }))).unwrap_err();
        assert_eq!(refused, "the state is longer than 16777216 bytes");
        assert_eq!(after.inherit(&after), Ok(false), "there is nothing");
    }

    #[test]
    fn failures_and_panics_say_why() {
        let after = keeper(json!({}));
        assert_eq!(after.import_state(&[1, 9]).unwrap_err(), "nine");
        let panicked = after.import_state(&[8]).unwrap_err();
        assert!(panicked.starts_with("panicked at ") && panicked.ends_with("eight"), "{panicked}");
        let panicked = keeper(json!({"len": 13})).export_state().unwrap_err();
        assert!(panicked.contains("unlucky"), "{panicked}");
    }

    #[test]
    fn a_filter_that_knows_nothing_of_it_has_nothing_and_takes_nothing() {
        let plain = TestHost::new::<Plain>(json!({})).unwrap();
        assert_eq!(plain.export_state(), Ok(None));
        assert_eq!(plain.inherit(&keeper(json!({"len": 1}))).unwrap_err(), "this version takes no state over");
    }
}
