//! What streams get in place of a filter in quarantine.

use sidegate_api::{EndOfStream, FilterCx, LocalReply, ReceiverPhase, Status, StreamFilter};

pub(super) struct Bypass;

impl StreamFilter for Bypass {}

/// Refuses streams in whichever header hook comes first. It answers a request
/// once; its own answer passes the response hook unchanged.
pub(super) struct Closed;

const DETAILS: &str = "filter_quarantined";

impl Closed {
    fn refuse(cx: &mut FilterCx<'_>) -> Status {
        match cx.reply(LocalReply::new(500, DETAILS)) {
            Ok(()) => Status::Stop,
            Err(_) => Status::Terminate,
        }
    }
}

impl StreamFilter for Closed {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _: ReceiverPhase, _: EndOfStream) -> Status {
        Closed::refuse(cx)
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, _: EndOfStream) -> Status {
        Closed::refuse(cx)
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, _: EndOfStream) -> Status {
        if cx.stream().response.status >= 500 { Status::Continue } else { Closed::refuse(cx) }
    }

    fn on_response_body(&mut self, _: &mut FilterCx<'_>, _: EndOfStream) -> Status {
        Status::Continue
    }
}
