//! Lets requests pass whose fields have the values that a file names; see
//! README.md.

#![forbid(unsafe_code)]

mod plugin;

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

use bstr::ByteSlice;
use clap::Parser;
use plugin::{DENY, Request, Response};

#[derive(Parser)]
struct Arguments {
    /// A file such as {"User": "admin"}
    #[arg(short = 'c')]
    config: PathBuf,
    /// unix:/path or a loopback address; without it a Unix socket of its own
    #[arg(long)]
    listen: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let read: HashMap<String, String> = serde_json::from_slice(&std::fs::read(arguments.config)?)?;
    let auth = Auth(lower(&read));
    plugin::serve(move |request| auth.decide(&request), arguments.listen).await
}

/// Values of fields, by their names in lower case.
struct Auth(HashMap<String, String>);

impl Auth {
    fn decide(&self, request: &Request) -> Response {
        let mut answer = Response::default();
        answer.header.insert("X-Checked-By".to_owned(), "rust".to_owned());
        if request.r#type == "response" {
            return answer;
        }
        let fields = lower(&request.header);
        // Fields of one name come joined by commas, so that a second one is no match.
        if self.0.iter().any(|(name, value)| fields.get(name) != Some(value)) {
            return Response { status: DENY, ..Response::default() };
        }
        // A field that clients must not set is removed by an empty value.
        answer.header.insert("X-Internal".to_owned(), String::new());
        let mut body = request.body.clone();
        for value in self.0.values().filter(|value| !value.is_empty()) {
            body = body.replace(value, "***");
        }
        if body != request.body {
            answer.body = body;
        }
        answer
    }
}

fn lower(fields: &HashMap<String, String>) -> HashMap<String, String> {
    fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
}
