//! What `sidegate check --against` asks: what a configuration would change in a
//! process that runs.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sidegate_api::shown;

use crate::admin_client::{AdminAddress, Call, CallError};

/// How long each step may take; comparing ten thousands of clusters takes
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no diff.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgainstError {
    #[error("cannot read the token: {0}")]
    Token(io::Error),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the admin interface at {address} refuses: {said}")]
    Refused { address: String, said: String },
}

/// What the process at `address` says of the configuration `body`, with the
/// status of the answer.
pub(crate) fn ask(
    address: &AdminAddress,
    token_file: Option<&Path>,
    body: &[u8],
) -> Result<(u16, Value), AgainstError> {
    let token = match token_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(AgainstError::Token)?.trim().to_owned()),
        None => None,
    };
    let call = Call { method: "POST", path: "/api/v1/config/diff", token: token.as_deref(), body, patience: PATIENCE };
    let answer = address.call(&call)?;
    read_answer(address, answer.status, &answer.body)
}

fn read_answer(address: &AdminAddress, status: u16, text: &[u8]) -> Result<(u16, Value), AgainstError> {
    match serde_json::from_slice::<Value>(text) {
        Ok(value) if value.get("ok").is_some_and(Value::is_boolean) => Ok((status, value)),
        _ if status == 404 || status == 405 => Err(address.strange("one that knows no /api/v1/config/diff").into()),
        _ if status >= 400 => {
            let said = String::from_utf8_lossy(text.get(..1000).unwrap_or(text)).trim().to_owned();
            let said = shown(&said);
            Err(AgainstError::Refused { address: address.to_string(), said: format!("{status}: {said}") })
        }
        _ => Err(address.strange("something else").into()),
    }
}
