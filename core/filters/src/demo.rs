//! `demo`: every configured header must be there with its value, and with no
//! other beside it, else 403.
//! The `auth` example modules do the same, so that one table of behaviour runs
//! over built in, Rust and C.

use std::sync::Arc;

use sidegate_api::{
    BuildEnv, EndOfStream, FilterConfigError, FilterCx, FilterFault, FilterSpec, HeaderMapKind, HookSet, Interests,
    LocalReply, ReceiverPhase, Status, StreamFilter, StreamFilterBuilder, StreamFilterFactory, WorkerIndex, is_token,
};

/// Builder of `type: demo`.
#[derive(Debug, Default)]
pub struct DemoBuilder;

/// Required headers: names in lower case, exact values.
#[derive(Debug)]
struct Required(Vec<(Vec<u8>, Vec<u8>)>);

#[derive(Debug)]
struct DemoFactory(Arc<Required>);

struct Demo(Arc<Required>);

impl StreamFilterBuilder for DemoBuilder {
    fn check(&self, spec: &FilterSpec, _env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        parse(&spec.config).map(drop)
    }

    fn schema(&self) -> serde_json::Value {
        serde_json::json!({
            "description": "Answers 403 unless a request carries every header that is named here, with that value and no other.",
            "type": "object",
            "additionalProperties": {"type": "string", "writeOnly": true},
        })
    }

    fn build(
        &self,
        spec: &FilterSpec,
        _env: &BuildEnv,
    ) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        Ok(Arc::new(DemoFactory(Arc::new(parse(&spec.config)?))))
    }
}

fn parse(config: &serde_json::Value) -> Result<Required, Vec<FilterConfigError>> {
    let Some(entries) = config.as_object() else {
        return Err(vec![FilterConfigError::new("config", format!("expected an object, found {config}"))]);
    };
    let mut errors = Vec::new();
    let mut required = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let path = || format!("config.{name}");
        if !is_token(name.as_bytes()) {
            errors.push(FilterConfigError::new(path(), format!("expected a header name, found {name:?}")));
        }
        match value.as_str() {
            Some(value) => required.push((name.to_ascii_lowercase().into_bytes(), value.as_bytes().to_vec())),
            None => errors.push(FilterConfigError::new(path(), format!("expected a string, found {value}"))),
        }
    }
    if errors.is_empty() { Ok(Required(required)) } else { Err(errors) }
}

impl StreamFilterFactory for DemoFactory {
    fn interests(&self) -> Interests {
        Interests { phases: HookSet::phases(&[ReceiverPhase::BeforeRoute]), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Demo(self.0.clone())))
    }
}

impl StreamFilter for Demo {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        let passes = self.0.0.iter().all(|(name, value)| match &name[..] {
            b"host" => cx.header(HeaderMapKind::Request, name) == Some(value),
            _ => {
                // Which of several the upstream looks at is not known here.
                let mut values = cx.headers(HeaderMapKind::Request).get_all(name);
                values.next().is_some_and(|found| found == value) && values.all(|found| found == value)
            }
        });
        if passes {
            return Status::Continue;
        }
        let reply = LocalReply::text(403, "demo_filter_refused", "403 forbidden\n");
        match cx.reply(reply) {
            Ok(()) => Status::Stop,
            Err(error) => Status::Fault(FilterFault::new(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_errors_name_the_key() {
        let errors = parse(&serde_json::json!({"User": 3, "bad name": "x"})).unwrap_err();
        let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["config.User", "config.bad name"]);
        assert!(parse(&serde_json::json!([])).is_err());
        assert!(parse(&serde_json::json!({})).is_ok());
    }
}
