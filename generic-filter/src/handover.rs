//! From one factory's state to that of the factory which follows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use sidegate_abi::{NOT_FOUND, OK, Slice};
use sidegate_api::{InheritError, Inherited};
use sidegate_watch::{Hook, enter};

use crate::error_out::{ErrorBuffers, Said};
use crate::factory::FactoryCore;
use crate::host::{StateSink, exporting};

/// Most that is handed over.
const MAX_BYTES: usize = 16 << 20;
/// So long export and import have together.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lets `from` export and `to` import on the module-control thread, and waits
/// for as long as is due.
pub(crate) fn inherit(from: &Arc<FactoryCore>, to: &Arc<FactoryCore>) -> Result<Inherited, InheritError> {
    let result = match from.is_same_filter(to) {
        true => run(from, to),
        false => Err(InheritError::Stranger),
    };
    let came = match &result {
        Ok(Inherited::Nothing) => return result,
        Ok(Inherited::State { .. }) => "carried",
        Err(_) => "failed",
    };
    let labels = [("module", to.module.identity.name.as_str()), ("filter", to.filter_name()), ("result", came)];
    if let Ok(counter) = to.module.identity.metrics.counter("sidegate_module_handovers_total", &labels) {
        counter.inc();
        // The series lives by whoever was counted last.
        let _ = to.handover.set(counter);
    }
    result
}

fn run(from: &Arc<FactoryCore>, to: &Arc<FactoryCore>) -> Result<Inherited, InheritError> {
    if from.table.export_state.is_none() || to.table.import_state.is_none() {
        return Ok(Inherited::Nothing);
    }
    let turn = Arc::new(Turn::default());
    let (answer, wait) = channel();
    let (former, next, of_job) = (from.clone(), to.clone(), turn.clone());
    // The job owns what it works on: whoever hangs in it keeps his factory and
    // buffers, and nobody else's.
    to.control.post(move || {
        if !of_job.advance(WAITING, EXPORTING) {
            return;
        }
        let state = export(&former);
        // Nobody waits any more, and the next factory may serve by now.
        if !of_job.advance(EXPORTING, IMPORTING) {
            return;
        }
        let result = match state {
            Ok(Some(state)) => import(&next, &state).map(|()| Inherited::State { bytes: state.len() }),
            Ok(None) => Ok(Inherited::Nothing),
            Err(error) => Err(error),
        };
        let _ = answer.send(result);
    });
    match wait.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(InheritError::Overdue { call: turn.abandon(), patience: PATIENCE }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(InheritError::Export { reason: "the module-control thread failed".to_owned() })
        }
    }
}

/// How far the job has come. One of both goes on from each step: the job, or
/// the asker who does not wait any longer.
#[derive(Debug, Default)]
struct Turn(AtomicU8);

const WAITING: u8 = 0;
const EXPORTING: u8 = 1;
const IMPORTING: u8 = 2;
const ABANDONED: u8 = 3;

impl Turn {
    fn advance(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The job does nothing more but end what it is at; which call that is.
    fn abandon(&self) -> &'static str {
        match self.0.swap(ABANDONED, Ordering::AcqRel) {
            WAITING => "the module-control thread",
            EXPORTING => Hook::ExportState.name(),
            _ => Hook::ImportState.name(),
        }
    }
}

fn export(core: &FactoryCore) -> Result<Option<Vec<u8>>, InheritError> {
    let Some(export) = core.table.export_state else { return Ok(None) };
    let mut buffers = ErrorBuffers::new();
    let mut error = buffers.lend();
    let mut sink = StateSink::new(MAX_BYTES);
    let inside = core.module.inside();
    let mark = enter(core.place(), Hook::ExportState);
    // SAFETY: the module's function and object, on its thread; what is lent
    // outlives the call.
    let answer = exporting(&mut sink, |state| unsafe { export(core.object.get(), state, &mut error) });
    drop((mark, inside));
    let written = sink.into_bytes();
    match (answer, written) {
        (_, None) => Err(InheritError::TooLong { limit: MAX_BYTES }),
        (OK, written) => Ok(written),
        (NOT_FOUND, _) => Ok(None),
        (other, _) => Err(InheritError::Export { reason: reason(other, buffers.take(&error)) }),
    }
}

fn import(core: &FactoryCore, state: &[u8]) -> Result<(), InheritError> {
    let Some(import) = core.table.import_state else { return Ok(()) };
    let mut buffers = ErrorBuffers::new();
    let mut error = buffers.lend();
    let inside = core.module.inside();
    let mark = enter(core.place(), Hook::ImportState);
    // SAFETY: as in `export`.
    let answer = unsafe { import(core.object.get(), Slice::from_bytes(state), &mut error) };
    drop((mark, inside));
    match answer {
        OK => Ok(()),
        other => Err(InheritError::Import { reason: reason(other, buffers.take(&error)) }),
    }
}

fn reason(answer: u32, said: Said) -> String {
    if said.message.is_empty() { format!("it answered {answer} and gave no reason") } else { said.message }
}
