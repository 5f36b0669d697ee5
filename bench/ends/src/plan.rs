//! What a run does.

use serde::Deserialize;

use crate::chunks::chunked;

/// One run, as a line of JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// The proxy's, on 127.0.0.1.
    pub(crate) port: u16,
    #[serde(default = "root")]
    pub(crate) path: String,
    pub(crate) connections: usize,
    /// How long requests are made.
    pub(crate) seconds: f64,
    /// Open loop: requests per second, with gaps as chance makes them.
    /// Without it a connection sends its next request when the reply is there.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    /// What is not counted, at the start.
    #[serde(default)]
    pub(crate) settle_seconds: f64,
    /// Bytes of each request's body.
    #[serde(default)]
    pub(crate) upload: usize,
    /// Bytes of each chunk of that body; 0: it has a length.
    #[serde(default)]
    pub(crate) chunk: usize,
    /// A new connection for each request.
    #[serde(default)]
    pub(crate) close: bool,
    /// Host names, and routes of each: every one of them is asked for, in an
    /// order that jumps about.
    #[serde(default)]
    pub(crate) routes: Option<(usize, usize)>,
    /// HTTPS.
    #[serde(default)]
    pub(crate) tls: Option<TlsPlan>,
    /// Of HTTPS: other clients, who begin handshakes and do not go on.
    #[serde(default)]
    pub(crate) stalled: Stalled,
}

/// How clients speak TLS: 1.3, with AES-128-GCM. Whom they speak with is not
/// verified, which would be their work and not the proxy's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsPlan {
    /// The name that is asked for.
    pub(crate) name: String,
    pub(crate) group: Group,
    /// New connections go on with a session of an earlier one, where there is
    /// one; the first that a client makes cannot.
    #[serde(default)]
    pub(crate) resume: bool,
}

/// Ways to agree on a key; the one that is offered.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum Group {
    X25519,
    X25519MLKEM768,
}

/// Clients that hold their connections to the end of the run.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stalled {
    /// They have sent half a hello before anything counts.
    #[serde(default)]
    pub(crate) standing: usize,
    /// They send a whole hello, one after another over the time that counts.
    #[serde(default)]
    pub(crate) arriving: usize,
}

fn root() -> String {
    "/".to_owned()
}

impl Plan {
    /// The bytes of all different requests, to be sent in turn.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        match self.routes {
            None => vec![self.request(&format!("127.0.0.1:{}", self.port), &self.path)],
            Some((hosts, routes)) => {
                let mut places: Vec<usize> = (0..hosts * routes).collect();
                fastrand::Rng::with_seed(1).shuffle(&mut places);
                let request = |place: usize| {
                    let (host, route) = (place % hosts, place / hosts);
                    self.request(&format!("host-{host:04}.example"), &format!("/service-{route:05}/item"))
                };
                places.into_iter().map(request).collect()
            }
        }
    }

    fn request(&self, host: &str, path: &str) -> Vec<u8> {
        let method = if self.upload > 0 { "POST" } else { "GET" };
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser: admin\r\n");
        if self.upload > 0 && self.chunk > 0 {
            text += "Transfer-Encoding: chunked\r\n";
        } else if self.upload > 0 {
            text += &format!("Content-Length: {}\r\n", self.upload);
        }
        if self.close {
            text += "Connection: close\r\n";
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        if self.chunk > 0 {
            bytes.extend_from_slice(&chunked(&vec![b'x'; self.upload], self.chunk));
        } else {
            bytes.resize(bytes.len() + self.upload, b'x');
        }
        bytes
    }
}
