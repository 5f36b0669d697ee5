//! The `Location` of a redirect.

use sidegate_api::RequestHead;

use crate::config::RedirectAction;
use crate::target::split_port;

impl RedirectAction {
    /// Appends the URL that `request` is sent to: its own with the configured
    /// parts replaced. A port that was the default of the old scheme does not
    /// survive a change of scheme. A request without authority (HTTP/1.0) gets
    /// a path unless the host is configured.
    pub fn write_location(&self, request: &RequestHead, out: &mut Vec<u8>) {
        let old_scheme = request.scheme;
        let scheme = self.scheme.as_ref().map_or(old_scheme, |scheme| scheme.as_str());
        let authority = match &self.host {
            Some(host) => host.as_str().as_bytes(),
            None if scheme != old_scheme => without_default_port(&request.authority, old_scheme),
            None => request.authority.as_bytes(),
        };
        // A server-wide `OPTIONS *` has no path of its own.
        let own_path = if request.path().starts_with('/') { request.path() } else { "/" };
        let path = self.path.as_ref().map_or(own_path, |path| path.as_str());
        if !authority.is_empty() {
            for part in [scheme.as_bytes(), b"://", authority] {
                out.extend_from_slice(part);
            }
        } else if path.starts_with("//") {
            // On its own this would name another host.
            out.extend_from_slice(b"/.");
        }
        out.extend_from_slice(path.as_bytes());
        if self.path.as_ref().is_none_or(|path| path.takes_query())
            && let Some(query) = request.query()
        {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
}

fn without_default_port<'a>(authority: &'a str, scheme: &str) -> &'a [u8] {
    let default: &[u8] = if scheme == "https" { b"443" } else { b"80" };
    match split_port(authority.as_bytes()) {
        (host, Some(port)) if port == default => host,
        _ => authority.as_bytes(),
    }
}
