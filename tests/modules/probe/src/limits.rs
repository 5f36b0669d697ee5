//! Asks for too much, and replies with what it was answered.

use std::collections::BTreeMap;

use sidegate_sdk::prelude::*;

/// Defines so many series; the host refuses at its limit.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    series: u32,
}

pub struct Limits;

#[derive(Default)]
pub struct LimitsFilter {
    answers: BTreeMap<&'static str, String>,
}

impl FilterFactory for Limits {
    type Config = Config;
    type Filter<'f> = LimitsFilter;

    fn new(config: Config, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        for number in 0..config.series {
            env.counter("limits_total", &[("number", &number.to_string())]).map_err(|error| error.within("series"))?;
        }
        Ok(Limits)
    }

    fn filter(&self, _: &FilterEnv<'_>) -> LimitsFilter {
        LimitsFilter::default()
    }
}

impl Filter for LimitsFilter {
    const HOOKS: Hooks =
        Hooks::new().request_headers(Phase::BeforeRoute).request_body(BodyMode::Whole).response_headers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let mut fields = 0;
        let value = "v".repeat(1000);
        let header = loop {
            match cx.headers_mut().add(format!("x-{fields}"), &value) {
                Ok(()) => fields += 1,
                Err(error) => break format!("{error:?} after some: {}", fields > 0),
            }
        };
        for number in 0..fields {
            cx.headers_mut().remove(format!("x-{number}"))?;
        }
        self.answers.insert("header", header);
        cx.set_named("kept", "before")?;
        let mut named = 0;
        let answer = loop {
            match cx.set_named(format!("n{named}"), &value) {
                Ok(()) => named += 1,
                Err(error) => break error,
            }
        };
        self.answers.insert("named", format!("{answer:?} after some: {}", named > 0));
        self.answers.insert("kept", cx.named_str("kept").unwrap_or("(lost)").to_owned());
        self.answers.insert("first", cx.named_str("n0").map_or(0, str::len).to_string());
        Ok(Status::Continue)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        let before = cx.body().len();
        let chunk = vec![b'b'; 1 << 20];
        let answer = loop {
            if let Err(error) = cx.body_mut().append(&chunk) {
                break error;
            }
        };
        self.answers.insert("append", format!("{answer:?}"));
        let replace = cx.body_mut().replace(vec![b'x'; 64 << 20]);
        self.answers.insert("replace", format!("{replace:?}"));
        let grown = cx.body().len() - before;
        self.answers.insert("unchanged", grown.is_multiple_of(chunk.len() as u64).to_string());
        // The last reply of a hook decides: what was refused leaves no trace.
        let reply = cx.set_reply(Reply::new(200).body(vec![b'x'; 64 << 20]));
        self.answers.insert("reply", format!("{reply:?}"));
        cx.reply(Reply::json(200, &self.answers)?)
    }
}
