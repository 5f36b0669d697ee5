//! What the plugin answers.

use std::collections::HashMap;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use sidegate_proto::go_plugin::Empty;
use sidegate_proto::go_plugin::grpc_controller_server::GrpcController;
use sidegate_proto::health::health_check_response::ServingStatus;
use sidegate_proto::health::health_server::Health;
use sidegate_proto::health::{HealthCheckRequest, HealthCheckResponse};
use sidegate_proto::mosn::plugin_server::Plugin;
use sidegate_proto::mosn::{Request, Response};
use tonic::Status;

/// Refuses, as MOSN has it.
const DENY: i32 = -1;

/// How this one is.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    how: String,
}

impl Behaviour {
    pub(crate) fn new(how: &str) -> Self {
        Behaviour { how: how.to_owned() }
    }

    pub(crate) fn is(&self, how: &str) -> bool {
        self.how == how
    }
}

#[tonic::async_trait]
impl Plugin for Behaviour {
    async fn call(&self, request: tonic::Request<Request>) -> Result<tonic::Response<Response>, Status> {
        let request = request.into_inner();
        let mut response = Response { status: 1, ..Response::default() };
        if request.r#type == "certificate" {
            // Whatever stands there is the answer; without a file, an error that
            // says what it must not.
            let file = std::env::var("TEST_PLUGIN_ANSWER").unwrap_or_default();
            response.body = match std::fs::read(&file) {
                Ok(body) if body == b"die" => std::process::exit(9),
                Ok(body) => body,
                Err(_) => return Err(Status::internal("-----BEGIN PRIVATE KEY----- told in an error")),
            };
            return Ok(tonic::Response::new(response));
        }
        let field = |name: &str| request.header.get(name).map(String::as_str);
        let wanted = field("X-Do").unwrap_or_default().to_owned();
        for word in wanted.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (deed, value) = word.split_once('=').unwrap_or((word, ""));
            self.obey(deed, value, &request, &mut response).await?;
        }
        Ok(tonic::Response::new(response))
    }
}

impl Behaviour {
    async fn obey(&self, deed: &str, value: &str, request: &Request, response: &mut Response) -> Result<(), Status> {
        match deed {
            "deny" if value.is_empty() || value == request.r#type => response.status = DENY,
            "deny" => {}
            // Everything it was sent, as one field.
            "tell" => {
                response.header.insert("X-Told".to_owned(), told(request).trim().to_owned());
            }
            "set" => {
                // A pseudo field begins with a colon.
                let colon = value.char_indices().skip(1).find(|(_, c)| *c == ':').map_or(value.len(), |(at, _)| at);
                let (name, value) = (&value[..colon], value.get(colon + 1..).unwrap_or_default());
                response.header.insert(name.to_owned(), value.to_owned());
            }
            "trailer" => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                response.trailer.insert(name.to_owned(), value.to_owned());
            }
            "echo" => response.header = request.header.clone(),
            "body" => response.body = value.as_bytes().to_vec(),
            "double" => response.body = request.body.repeat(2),
            "wait" => tokio::time::sleep(Duration::from_millis(value.parse().unwrap_or(0))).await,
            "hang" => std::future::pending().await,
            "fail" => return Err(Status::internal("as it was told")),
            "die" => std::process::exit(9),
            "flood" => {
                let line = vec![b'y'; 1 << 20];
                for _ in 0..32 {
                    let _ = std::io::stdout().write_all(&line);
                }
                let _ = std::io::stdout().flush();
            }
            "eat" => {
                // Written to, so that it is there.
                let bytes = vec![1_u8; value.parse::<usize>().unwrap_or(0) << 20];
                std::mem::forget(std::hint::black_box(bytes));
            }
            "fork" => {
                for _ in 0..value.parse().unwrap_or(0) {
                    Command::new("/bin/sleep").arg("3600").spawn()?;
                }
            }
            // A child that is in no group or session of ours.
            "escape" => {
                let child = Command::new("/usr/bin/setsid").args(["/bin/sleep", "3600"]).spawn()?;
                response.header.insert("X-Child".to_owned(), child.id().to_string());
            }
            // Children whose parent ends before them.
            "orphan" => {
                Command::new("/bin/sh").args(["-c", "/bin/sleep 0.01 & /bin/sleep 0.01 &"]).status()?;
            }
            "parent" => {
                let parent = std::os::unix::process::parent_id();
                response.header.insert("X-Parent".to_owned(), parent.to_string());
            }
            "where" => {
                let folder = std::env::current_dir()?;
                response.header.insert("X-Where".to_owned(), folder.display().to_string());
            }
            "processors" => {
                let count = std::thread::available_parallelism()?;
                response.header.insert("X-Processors".to_owned(), count.to_string());
            }
            "log" => eprintln!("[WARN] {value}"),
            "env" => {
                let visible = |text: String| text.replace(|c: char| !c.is_ascii_graphic(), "_");
                let environment: Vec<String> =
                    std::env::vars().map(|(name, value)| format!("{name}={}", visible(value))).collect();
                response.header.insert("X-Env".to_owned(), environment.join(" "));
            }
            "who" => {
                response.header.insert("X-Who".to_owned(), format!("{} {}", std::process::id(), self.how));
            }
            "fds" => {
                let open = std::fs::read_dir("/proc/self/fd").map(|folder| folder.count()).unwrap_or(0);
                response.header.insert("X-Fds".to_owned(), open.to_string());
            }
            other => return Err(Status::invalid_argument(format!("no such deed: {other}"))),
        }
        Ok(())
    }
}

/// `type header(name=value;…) trailer(…) body(…)`
fn told(request: &Request) -> String {
    let map = |map: &HashMap<String, String>| {
        let mut entries: Vec<String> = map.iter().map(|(name, value)| format!("{name}={value}")).collect();
        entries.sort();
        entries.join(";")
    };
    let body = String::from_utf8_lossy(&request.body);
    format!("{} header({}) trailer({}) body({body})", request.r#type, map(&request.header), map(&request.trailer))
}

#[tonic::async_trait]
impl Health for Behaviour {
    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        if request.get_ref().service != "plugin" {
            return Err(Status::not_found("no such service"));
        }
        let status = if self.is("ill") { ServingStatus::NotServing } else { ServingStatus::Serving };
        Ok(tonic::Response::new(HealthCheckResponse { status: status.into() }))
    }
}

#[tonic::async_trait]
impl GrpcController for Behaviour {
    async fn shutdown(&self, _: tonic::Request<Empty>) -> Result<tonic::Response<Empty>, Status> {
        eprintln!("[INFO] told to end");
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            std::process::exit(0);
        });
        Ok(tonic::Response::new(Empty {}))
    }
}
