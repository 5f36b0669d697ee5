//! State of each worker.

use std::cell::Cell;
use std::rc::Rc;

use sidegate_sdk::prelude::*;

/// Not `Send`: only its worker ever has it.
struct Mine {
    count: Cell<u64>,
    worker: u32,
    thread: Rc<std::thread::ThreadId>,
    attached: Gauge,
    logger: Logger,
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.attached.add(-1);
        let same = *self.thread == std::thread::current().id();
        sidegate_sdk::info!(self.logger, "worker {} detached on its own thread: {same}", self.worker);
    }
}

pub struct State {
    attached: Gauge,
    logger: Logger,
    workers: u32,
}

pub struct StateFilter {
    worker: u32,
    workers: u32,
}

impl FilterFactory for State {
    type Config = NoConfig;
    type Filter<'f> = StateFilter;

    fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(State { attached: env.gauge("state_attached", &[])?, logger: env.logger(), workers: env.workers() })
    }

    fn filter(&self, env: &FilterEnv<'_>) -> StateFilter {
        StateFilter { worker: env.worker(), workers: self.workers }
    }

    fn worker_state(&self, worker: u32) -> Option<WorkerObject> {
        self.attached.add(1);
        let thread = Rc::new(std::thread::current().id());
        let (attached, logger) = (self.attached, self.logger);
        Some(WorkerObject::new(Mine { count: Cell::new(0), worker, thread, attached, logger }))
    }
}

impl Filter for StateFilter {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let mine = cx.worker_state::<Mine>().or_fault("no worker state")?;
        mine.count.set(mine.count.get() + 1);
        if mine.worker != self.worker || *mine.thread != std::thread::current().id() {
            sidegate_sdk::bail!("the state of worker {} on worker {}", mine.worker, self.worker);
        }
        let shown = serde_json::json!({
            "worker": mine.worker,
            "workers": self.workers,
            "count": mine.count.get(),
        });
        cx.reply(Reply::json(200, &shown)?)
    }
}
