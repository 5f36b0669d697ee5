//! Where a thread can be: a filter, of a module or built in, and its hook.

use std::sync::{Mutex, PoisonError};

/// A filter, or a module on its way to one. Lives as long as the process:
/// somebody may be there.
#[derive(Debug, PartialEq, Eq)]
// The low bits of its address are free for the hook.
#[repr(align(32))]
pub struct Place {
    module: Option<String>,
    /// Empty while a module is being loaded.
    filter: String,
    /// Digest of the module's bytes, in hexadecimal digits.
    digest: Option<String>,
    /// The same for people, made beforehand.
    text: String,
}

/// What is called there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Hook {
    /// A module's initializers.
    Load = 1,
    /// Making a factory.
    CreateFactory,
    /// Destroying it.
    DestroyFactory,
    /// Making the object of a route's `per_filter_config`.
    CreateRouteConfig,
    /// Destroying it.
    DestroyRouteConfig,
    /// A worker comes.
    AttachWorker,
    /// A worker goes.
    DetachWorker,
    /// Making a stream's filter.
    CreateFilter,
    /// Destroying it.
    DestroyFilter,
    /// Head of a request.
    RequestHeaders,
    /// Body of a request.
    RequestBody,
    /// Trailers of a request.
    RequestTrailers,
    /// Head of a response.
    ResponseHeaders,
    /// Body of a response.
    ResponseBody,
    /// Trailers of a response.
    ResponseTrailers,
    /// In place of the hook that was pending.
    Resume,
    /// The stream has ended.
    Complete,
    /// A factory says what the next one is to know.
    ExportState,
    /// The next one takes it over.
    ImportState,
    /// A thread lets go of a module that is going to be unmapped.
    DetachThread,
    /// A module's destructors.
    Unload,
}

impl Hook {
    const ALL: [Hook; 21] = [
        Hook::Load,
        Hook::CreateFactory,
        Hook::DestroyFactory,
        Hook::CreateRouteConfig,
        Hook::DestroyRouteConfig,
        Hook::AttachWorker,
        Hook::DetachWorker,
        Hook::CreateFilter,
        Hook::DestroyFilter,
        Hook::RequestHeaders,
        Hook::RequestBody,
        Hook::RequestTrailers,
        Hook::ResponseHeaders,
        Hook::ResponseBody,
        Hook::ResponseTrailers,
        Hook::Resume,
        Hook::Complete,
        Hook::ExportState,
        Hook::ImportState,
        Hook::DetachThread,
        Hook::Unload,
    ];

    /// The hook whose number as `usize` this is.
    pub fn from_number(number: usize) -> Option<Hook> {
        Self::ALL.get(number.wrapping_sub(1)).copied()
    }

    /// As the module ABI calls it.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Load => "its initializers",
            Hook::CreateFactory => "create_filter_factory",
            Hook::DestroyFactory => "destroy (factory)",
            Hook::CreateRouteConfig => "create_route_config",
            Hook::DestroyRouteConfig => "destroy_route_config",
            Hook::AttachWorker => "worker_attach",
            Hook::DetachWorker => "worker_detach",
            Hook::CreateFilter => "create_filter",
            Hook::DestroyFilter => "destroy (filter)",
            Hook::RequestHeaders => "on_request_headers",
            Hook::RequestBody => "on_request_body",
            Hook::RequestTrailers => "on_request_trailers",
            Hook::ResponseHeaders => "on_response_headers",
            Hook::ResponseBody => "on_response_body",
            Hook::ResponseTrailers => "on_response_trailers",
            Hook::Resume => "on_resume",
            Hook::Complete => "on_complete",
            Hook::ExportState => "export_state",
            Hook::ImportState => "import_state",
            Hook::DetachThread => "its thread-local destructors",
            Hook::Unload => "its destructors",
        }
    }
}

/// All places there are. Few: one per filter in the configuration, and the
/// same one when the configuration is read again.
static PLACES: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());

/// Longest name that is shown, in bytes: a line must hold all of a place.
const LONGEST: usize = 120;

impl Place {
    /// The filter called `filter` in the configuration that is built in.
    pub fn built_in(filter: &str) -> &'static Place {
        Self::known(None, filter, None)
    }

    /// A filter of a module; an empty `filter` is the module itself. `digest`
    /// is of its bytes, in hexadecimal digits.
    pub fn of_module(module: &str, filter: &str, digest: &str) -> &'static Place {
        Self::known(Some(module), filter, Some(digest))
    }

    fn known(module: Option<&str>, filter: &str, digest: Option<&str>) -> &'static Place {
        let (module, filter) = (module.map(printable), printable(filter));
        let digest = digest.map(printable);
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |p: &&&Place| p.module == module && p.filter == filter && p.digest == digest;
        if let Some(place) = places.iter().find(same) {
            return place;
        }
        let text = match (&module, filter.is_empty()) {
            (Some(module), false) => format!("module {module}, filter {filter}"),
            (Some(module), true) => format!("module {module}"),
            (None, _) => format!("built-in filter {filter}"),
        };
        let place: &'static Place = Box::leak(Box::new(Place { module, filter, digest, text }));
        places.push(place);
        place
    }

    /// Name of the module; `None`: the filter is built in.
    pub fn module(&self) -> Option<&str> {
        self.module.as_deref()
    }

    /// Name of the filter in the configuration.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// SHA-256 of the module's bytes.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Module and filter, for people.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Names come from configurations, and go into one line of a log.
fn printable(name: &str) -> String {
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_are_the_same_place() {
        let first = Place::of_module("m", "f", "00");
        assert!(std::ptr::eq(first, Place::of_module("m", "f", "00")));
        for other in [Place::of_module("m", "f", "01"), Place::of_module("m", "", "00"), Place::built_in("f")] {
            assert!(!std::ptr::eq(first, other), "{other:?}");
        }
        assert_eq!(first.text(), "module m, filter f");
    }

    #[test]
    fn names_cannot_break_a_line_or_be_endless() {
        let long = format!("a\n\u{1b}[31m{}", "ö".repeat(500));
        let place = Place::built_in(&long);
        assert!(place.filter().len() <= LONGEST && place.filter().starts_with("a??[31mö"), "{place:?}");
        assert!(!place.text().contains(char::is_control));
    }

    #[test]
    fn hooks_are_numbers_that_fit_beside_an_address() {
        for (index, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, index + 1);
            assert_eq!(Hook::from_number(hook as usize), Some(hook));
            assert!((hook as usize) < align_of::<Place>());
        }
        assert_eq!(Hook::from_number(0), None);
        assert_eq!(Hook::from_number(Hook::ALL.len() + 1), None);
    }
}
