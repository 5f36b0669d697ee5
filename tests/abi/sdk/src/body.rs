use sidegate_sdk::BodyMut;
use sidegate_sdk::prelude::*;

pub struct Whole;
pub struct Chunks;

pub struct Capitals<const WHOLE: bool>;

macro_rules! factory {
    ($factory:ident, $whole:literal) => {
        impl FilterFactory for $factory {
            type Config = NoConfig;
            type Filter<'f> = Capitals<$whole>;

            fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
                Ok($factory)
            }

            fn filter(&self, _: &FilterEnv<'_>) -> Capitals<$whole> {
                Capitals
            }
        }
    };
}

factory!(Whole, true);
factory!(Chunks, false);

fn capitals(mut body: BodyMut<'_>, end: bool) -> HookResult {
    let mut bytes = body.as_ref().to_vec()?;
    bytes.make_ascii_uppercase();
    body.replace(bytes)?;
    if end {
        body.append("!")?;
    }
    Ok(Status::Continue)
}

impl<const WHOLE: bool> Filter for Capitals<WHOLE> {
    const HOOKS: Hooks = {
        let mode = if WHOLE { BodyMode::Whole } else { BodyMode::Stream };
        Hooks::new().request_body(mode).request_trailers().response_body(mode)
    };

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        let end = cx.is_end();
        capitals(cx.body_mut(), end)
    }

    fn on_request_trailers(&mut self, cx: &mut RequestTrailers<'_>) -> HookResult {
        cx.headers_mut().set("x-checked", "yes")?;
        Ok(Status::Continue)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        let end = cx.is_end();
        capitals(cx.body_mut(), end)
    }
}
