//! What a matched route does to the heads of its messages.

use sidegate_api::{HeaderLimit, Headers, RequestHead, Slashes, StreamState, is_header_value};

use crate::config::{Append, HeaderAdd, HeaderEdits, RouteAction};
use crate::forward::{ForwardAction, HostRewrite, PathRewrite};
use crate::matcher::PathMatch;
use crate::route::Matched;
use crate::target::{has_dot_segment, is_authority};

/// A message cannot be changed as the route wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// There is no room for a header.
    #[error(transparent)]
    HeaderLimit(#[from] HeaderLimit),
    /// A rewrite put `.` or `..` together from parts that were none, as
    /// `prefix: /files` with `prefix_rewrite: /data/` does with `/files../x`.
    /// What the route judged would not be what the upstream gets.
    #[error("rewritten path has a dot segment")]
    DotSegment,
}

impl Matched<'_> {
    /// Changes the request as MOSN does: headers of the route, of the virtual
    /// host and of the router, then the authority, then the path. To be called
    /// once per stream, when the first host is chosen: doing it again would
    /// add headers again.
    ///
    /// `hostname` is the chosen host's; `scratch` is any buffer.
    pub fn apply_request(
        &self,
        stream: &mut StreamState,
        hostname: Option<&str>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), ApplyError> {
        if !self.edits_request() {
            return Ok(());
        }
        for ops in [&self.route.headers, &self.virtual_host.headers, self.table.headers()] {
            edit_request(&ops.request, stream, scratch)?;
        }
        self.rewrite_host(&mut stream.request, hostname);
        match self.route.action() {
            RouteAction::Forward(forward) => {
                let matched = self.route.matcher().path();
                rewrite_path(matched, forward, self.table.slashes(), &mut stream.request, scratch)
            }
            RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => Ok(()),
        }
    }

    /// The authority's part of [`apply_request`](Self::apply_request); may be
    /// repeated for another host.
    pub fn rewrite_host(&self, request: &mut RequestHead, hostname: Option<&str>) {
        let RouteAction::Forward(forward) = self.route.action() else { return };
        match &forward.host_rewrite {
            HostRewrite::Keep => {}
            HostRewrite::Literal(authority) => set_authority(&mut request.authority, authority.as_str().as_bytes()),
            HostRewrite::FromHeader(name) => {
                let RequestHead { authority, headers, .. } = request;
                set_authority(authority, headers.get(name.as_bytes()).unwrap_or_default());
            }
            HostRewrite::FromHostname => {
                set_authority(&mut request.authority, hostname.unwrap_or_default().as_bytes());
            }
        }
    }

    /// Changes the response's headers: those of the route, of the virtual host
    /// and of the router, in this order. To be called once per stream.
    pub fn apply_response(&self, stream: &mut StreamState, scratch: &mut Vec<u8>) -> Result<(), ApplyError> {
        if !self.edits_response() {
            return Ok(());
        }
        for ops in [&self.route.headers, &self.virtual_host.headers, self.table.headers()] {
            for add in &ops.response.add {
                render(add, stream, scratch);
                write(&mut stream.response.headers, add, scratch)?;
            }
            for name in &ops.response.remove {
                stream.response.headers.remove(name.as_bytes());
            }
        }
        Ok(())
    }
}

fn edit_request(edits: &HeaderEdits, stream: &mut StreamState, scratch: &mut Vec<u8>) -> Result<(), ApplyError> {
    for add in &edits.add {
        render(add, stream, scratch);
        if add.name.is_host() {
            set_authority(&mut stream.request.authority, scratch);
        } else {
            write(&mut stream.request.headers, add, scratch)?;
        }
    }
    for name in &edits.remove {
        stream.request.headers.remove(name.as_bytes());
    }
    Ok(())
}

fn render(add: &HeaderAdd, stream: &StreamState, scratch: &mut Vec<u8>) {
    scratch.clear();
    add.value.render(stream, scratch);
}

fn write(headers: &mut Headers, add: &HeaderAdd, rendered: &[u8]) -> Result<(), HeaderLimit> {
    // A variable without a value may leave a blank at an end.
    let value = rendered.trim_ascii();
    let missing = (value.is_empty() && !add.value.is_constant()) || !is_header_value(value);
    match (add.append, missing) {
        (Append::Keep, false) => headers.add(add.name.as_bytes(), value),
        (Append::Replace, false) => headers.set(add.name.as_bytes(), value),
        (Append::Keep, true) => Ok(()),
        // The peer's own field must not pass for the one that we wanted to
        // write.
        (Append::Replace, true) => {
            headers.remove(add.name.as_bytes());
            Ok(())
        }
    }
}

/// Leaves the authority alone if `value` is none.
fn set_authority(authority: &mut String, value: &[u8]) {
    if is_authority(value)
        && let Ok(value) = std::str::from_utf8(value)
    {
        authority.clear();
        authority.push_str(value);
        authority.make_ascii_lowercase();
    }
}

/// Path before the rewrite, for the upstream; as MOSN names it.
const ORIGINAL_PATH: &[u8] = b"x-mosn-original-path";

fn rewrite_path(
    matched: &PathMatch,
    forward: &ForwardAction,
    slashes: Slashes,
    request: &mut RequestHead,
    scratch: &mut Vec<u8>,
) -> Result<(), ApplyError> {
    scratch.clear();
    if request.is_about_server() {
        // There is no path to rewrite.
        return Ok(());
    }
    match &forward.path_rewrite {
        PathRewrite::Keep => return Ok(()),
        PathRewrite::Prefix(new) => {
            let (prefix, rest) = match matched {
                // A filter may have changed the path since it matched.
                PathMatch::Prefix(prefix) => (prefix.as_str(), request.path().strip_prefix(prefix.as_str())),
                PathMatch::Exact(path) => (path.as_str(), Some("")),
                PathMatch::Regex(_) | PathMatch::Any => return Ok(()),
            };
            let Some(rest) = rest else { return Ok(()) };
            scratch.extend_from_slice(new.as_str().as_bytes());
            // `/` for `/api` makes `/x` of `/api/x`, not `//x`.
            let doubled = new.as_str().ends_with('/') && !prefix.ends_with('/');
            let joint = if doubled { rest.strip_prefix('/').unwrap_or(rest) } else { rest };
            scratch.extend_from_slice(joint.as_bytes());
        }
        PathRewrite::Regex(substitution) => {
            let Some(path) = substitution.apply(request.path()) else { return Ok(()) };
            if !path.starts_with('/') {
                scratch.push(b'/');
            }
            scratch.extend_from_slice(path.as_bytes());
        }
    }
    let rewritten = scratch.len();
    scratch.extend_from_slice(request.path().as_bytes());
    let (path, original) = scratch.split_at(rewritten);
    let path = std::str::from_utf8(path).ok().filter(|path| !has_dot_segment(path)).ok_or(ApplyError::DotSegment)?;
    request.headers.set(ORIGINAL_PATH, original)?;
    if slashes.are_to_be_merged(path.as_bytes()) {
        let mut tidy = path.to_owned();
        slashes.tidy(&mut tidy);
        request.set_path(&tidy);
    } else {
        request.set_path(path);
    }
    Ok(())
}
