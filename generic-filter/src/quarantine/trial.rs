//! The filter of the one stream that tries a filter in quarantine.

use std::sync::Arc;

use sidegate_api::{Completion, EndOfStream, FilterCx, FilterFault, ReceiverPhase, Status, StreamFilter};

use super::TrialId;
use crate::factory::FactoryCore;

/// Passes everything on, and says when it is over.
pub(crate) struct Trial<F> {
    filter: F,
    core: Arc<FactoryCore>,
    trial: TrialId,
}

impl<F: StreamFilter> Trial<F> {
    pub(crate) fn new(filter: F, core: Arc<FactoryCore>, trial: TrialId) -> Self {
        Trial { filter, core, trial }
    }
}

impl<F: StreamFilter> StreamFilter for Trial<F> {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, end: EndOfStream) -> Status {
        self.filter.on_request_headers(cx, phase, end)
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.filter.on_request_body(cx, end)
    }

    fn on_request_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.filter.on_request_trailers(cx)
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.filter.on_response_headers(cx, end)
    }

    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.filter.on_response_body(cx, end)
    }

    fn on_response_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.filter.on_response_trailers(cx)
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.filter.on_resume(cx)
    }

    fn on_complete(&mut self, cx: &mut FilterCx<'_>, completion: &Completion) {
        self.filter.on_complete(cx, completion);
    }

    fn on_fault(&mut self, fault: &FilterFault) {
        self.filter.on_fault(fault);
    }
}

impl<F> Drop for Trial<F> {
    fn drop(&mut self) {
        self.core.tried(self.trial);
    }
}
