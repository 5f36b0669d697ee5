//! Objects that a module makes of a route's `per_filter_config`.

use std::any::Any;
use std::ffi::c_void;
use std::sync::Arc;

use sidegate_abi::{FAILED, OK, Slice};
use sidegate_api::{FilterConfigError, RouteFilterConfig};
use sidegate_watch::{Hook, enter};

use crate::error_out::ErrorBuffers;
use crate::factory::{FactoryCore, Foreign};

/// One such object; it keeps its factory alive.
#[derive(Debug)]
pub(crate) struct ModuleRouteConfig {
    core: Arc<FactoryCore>,
    object: Foreign,
}

impl ModuleRouteConfig {
    /// The object, if it was made by `core`.
    pub(crate) fn object_of(&self, core: &FactoryCore) -> Option<*mut c_void> {
        std::ptr::eq(Arc::as_ptr(&self.core), core).then_some(self.object.get())
    }
}

impl RouteFilterConfig for ModuleRouteConfig {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for ModuleRouteConfig {
    fn drop(&mut self) {
        let (object, core) = (self.object, self.core.clone());
        // The job holds the factory, so that this comes before its end.
        self.core.control.post(move || {
            if let Some(destroy) = core.table.destroy_route_config {
                let _mark = enter(core.place(), Hook::DestroyRouteConfig);
                // SAFETY: made by this factory, given back once.
                unsafe { destroy(core.object.get(), object.get()) };
            }
        });
    }
}

/// Makes an object of `value` on the module-control thread.
pub(crate) fn create(
    core: &Arc<FactoryCore>,
    value: &serde_json::Value,
) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
    let Some(create) = core.table.create_route_config else {
        let name = &core.module.identity.name;
        let message = format!("expected no per_filter_config: module `{name}` has no settings per route");
        return Err(FilterConfigError::new("", message));
    };
    let (config, factory, place) = (value.to_string(), core.object, core.place());
    let made = core.control.run(move || {
        let mut object = std::ptr::null_mut();
        let mut buffers = ErrorBuffers::new();
        let mut error = buffers.lend();
        let config = Slice::from_bytes(config.as_bytes());
        let _mark = enter(place, Hook::CreateRouteConfig);
        // SAFETY: the module's function and object; what is lent outlives the
        // call.
        let result = unsafe { create(factory.get(), config, &mut error, &mut object) };
        if result == OK { Ok(Foreign::new(object)) } else { Err((result, buffers.take(&error))) }
    });
    match made {
        Some(Ok(object)) => Ok(Arc::new(ModuleRouteConfig { core: core.clone(), object })),
        Some(Err((result, said))) => {
            let message = match (said.message.is_empty(), result) {
                (false, _) => said.message,
                (true, FAILED) => "the module refused it without saying why".to_owned(),
                (true, other) => format!("the module answered {other}"),
            };
            Err(FilterConfigError::new(said.path, message).with_kind("route_config_refused"))
        }
        None => Err(FilterConfigError::new("", "the module-control thread failed").with_kind("internal")),
    }
}
