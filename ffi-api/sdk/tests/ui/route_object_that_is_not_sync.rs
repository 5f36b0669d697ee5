//! All workers use one route object at the same time.

use std::cell::RefCell;

use sidegate_sdk::prelude::*;

fn route_config(config: ConfigValue) -> Result<RouteObject, ConfigError> {
    Ok(RouteObject::new(RefCell::new(config.parse::<String>()?)))
}

fn main() {}
