//! What the module `auth` does with `{"User": "admin"}`, as a plugin.

use sidegate_plugin_kit::{Answer, Configure, Filter, Plugin, RequestHeaders, Use, async_trait};

pub(crate) struct Auth;

struct Check;

impl Plugin for Auth {
    fn configure(&self, _: &Configure) -> Result<Box<dyn Use>, String> {
        Ok(Box::new(|| Box::new(Check) as Box<dyn Filter>))
    }
}

#[async_trait]
impl Filter for Check {
    async fn request_headers(&mut self, head: RequestHeaders) -> Answer {
        let mut users = head.fields.iter().filter(|field| field.name == "user").peekable();
        if users.peek().is_some() && users.all(|field| field.value == "admin") {
            Answer::proceed()
        } else {
            Answer::reply(403, "forbidden\n")
        }
    }
}
