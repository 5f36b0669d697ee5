//! Objects that a module makes of a route's `per_filter_config`.

use std::any::Any;
use std::ffi::c_void;
use std::sync::Arc;

use sidegate_abi::{FAILED, OK, Slice};
use sidegate_api::{FilterConfigError, RouteFilterConfig};
use sidegate_watch::{Hook, enter};

use crate::error_out::ErrorBuffers;
use crate::factory::{FactoryCore, Foreign};
use crate::refusal::Reason;

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
                let _inside = core.module.inside();
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
    let (config, of_job) = (value.to_string(), core.clone());
    let made = core.control.run(move || {
        let core = of_job;
        let mut object = std::ptr::null_mut();
        let mut buffers = ErrorBuffers::new();
        let mut error = buffers.lend();
        let config = Slice::from_bytes(config.as_bytes());
        let inside = core.module.inside();
        let mark = enter(core.place(), Hook::CreateRouteConfig);
        // SAFETY: the module's function and object; what is lent outlives the
        // call.
        let result = unsafe { create(core.object.get(), config, &mut error, &mut object) };
        drop((mark, inside));
        // Given back to the module even if the asker does not wait any more.
        if result == OK {
            Ok(ModuleRouteConfig { core, object: Foreign::new(object) })
        } else {
            Err((result, buffers.take(&error)))
        }
    });
    match made {
        Ok(Ok(object)) => Ok(Arc::new(object)),
        Ok(Err((result, said))) => {
            let message = match (said.message.is_empty(), result) {
                (false, _) => said.message,
                (true, FAILED) => "the module refused it without saying why".to_owned(),
                (true, other) => format!("the module answered {other}"),
            };
            Err(FilterConfigError::new(said.path, message).with_kind("route_config_refused"))
        }
        Err(none) => {
            let reason = Reason::from(none);
            Err(FilterConfigError::new("", reason.to_string()).with_kind(reason.kind()))
        }
    }
}
