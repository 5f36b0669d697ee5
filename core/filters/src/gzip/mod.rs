//! `gzip`: compresses responses on their way, part by part.

mod encoder;
mod negotiate;
mod response;
mod settings;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compress;
use sidegate_api::{
    BodyDirection, BodyInterest, BuildEnv, EndOfStream, FilterCx, FilterFault, HeaderMapKind, HookSet, Interests,
    Method, ReceiverPhase, Status, StreamFilter, StreamFilterFactory, WorkerIndex,
};

use crate::builtin::Definition;
use crate::settings::{Object, Table};
use encoder::{Encoder, Part};
use settings::{GZIP, Settings};

/// `type: gzip`
pub(crate) struct Gzip;

impl Definition for Gzip {
    type Settings = Settings;

    const TABLE: &'static Table = &GZIP;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> Settings {
        Settings::read(config)
    }

    fn factory(settings: Settings, _name: &str, env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        let pools = std::iter::repeat_with(Pool::default).take(env.workers.max(1)).collect();
        Arc::new(Factory(Arc::new(Shared { settings, pools })))
    }
}

#[derive(Debug)]
struct Factory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// One per worker: its lock is never waited for. It is taken twice per
    /// compressed response, and spares clearing some hundred kilobytes.
    pools: Box<[Pool]>,
}

/// Compressors at rest.
#[derive(Default)]
#[repr(align(128))]
struct Pool(Mutex<Vec<Compress>>);

/// Compressors that a worker keeps: 0.3 MB each.
const KEPT: usize = 8;

struct Filter {
    shared: Arc<Shared>,
    worker: WorkerIndex,
    /// What the request says of it.
    client: Client,
    encoder: Option<Encoder>,
    /// Reused from part to part.
    out: Vec<u8>,
}

/// What the client can do with gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    TakesGzip,
    /// It rather has the bytes as they are.
    TakesIdentity,
    /// It forbids that anybody changes what it gets.
    WantsNoTransform,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Shared {
    fn pool(&self, worker: WorkerIndex) -> Option<&Mutex<Vec<Compress>>> {
        self.pools.get(worker.0).map(|pool| &pool.0)
    }

    fn take(&self, worker: WorkerIndex) -> Encoder {
        let pool = self.pool(worker);
        let kept = pool.and_then(|pool| pool.lock().unwrap_or_else(PoisonError::into_inner).pop());
        Encoder::new(kept.unwrap_or_else(|| Encoder::compressor(self.settings.level)))
    }

    fn give(&self, worker: WorkerIndex, encoder: Encoder) {
        let Some(pool) = self.pool(worker) else { return };
        let compressor = encoder.into_compressor();
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(compressor);
        }
    }
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        Interests {
            phases: HookSet::phases(&[ReceiverPhase::BeforeRoute]),
            response_headers: HookSet::WANTED,
            response_body: BodyInterest::Stream,
            ..Interests::default()
        }
    }

    fn create_filter(&self, worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        let (shared, client) = (self.0.clone(), Client::TakesIdentity);
        Ok(Box::new(Filter { shared, worker, client, encoder: None, out: Vec::new() }))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        // Now, since routes may take the header from the request.
        let headers = cx.headers(HeaderMapKind::Request);
        self.client = if headers.has_token(b"cache-control", b"no-transform") {
            Client::WantsNoTransform
        } else if negotiate::takes_gzip(headers.get_all(b"accept-encoding")) {
            Client::TakesGzip
        } else {
            Client::TakesIdentity
        };
        Status::Continue
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        match self.head(cx, end) {
            Ok(()) => Status::Continue,
            Err(error) => Status::Fault(FilterFault::new(format!("cannot edit the response head: {error}"))),
        }
    }

    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, _end: EndOfStream) -> Status {
        let Some(encoder) = &mut self.encoder else { return Status::Continue };
        let Some(body) = cx.body(BodyDirection::Response) else { return Status::Continue };
        let part = if body.is_last() { Part::Last } else { Part::Inner };
        self.out.clear();
        let written = encoder.write(body.as_slice(), part, &mut self.out).map_err(|error| error.to_string());
        let replaced = written.and_then(|()| {
            cx.replace_body(BodyDirection::Response, &self.out).map_err(|error| format!("compressed body: {error}"))
        });
        match replaced {
            Ok(()) => Status::Continue,
            Err(message) => Status::Fault(FilterFault::new(message)),
        }
    }
}

impl Filter {
    /// Decides, and says so in the head.
    fn head(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Result<(), sidegate_api::EditError> {
        if self.client == Client::WantsNoTransform || !response::is_compressible(&self.shared.settings, cx.stream()) {
            if self.client != Client::WantsNoTransform
                && response::is_about_compressible(&self.shared.settings, cx.stream())
            {
                // It may be about a response that went out compressed, and has
                // the fields of that one (RFC 9110 section 15.4.5).
                response::vary_by_encoding(cx)?;
                if self.client == Client::TakesGzip {
                    response::weaken_etag(cx)?;
                }
            }
            cx.waive_body(BodyDirection::Response);
            return Ok(());
        }
        // Other clients get other bytes at the same place.
        response::vary_by_encoding(cx)?;
        let head_only = cx.stream().request.method == Method::Head;
        if self.client != Client::TakesGzip || (end == EndOfStream::End && !head_only) {
            cx.waive_body(BodyDirection::Response);
            return Ok(());
        }
        response::announce(cx)?;
        if !head_only {
            self.encoder = Some(self.shared.take(self.worker));
        }
        Ok(())
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            self.shared.give(self.worker, encoder);
        }
    }
}
