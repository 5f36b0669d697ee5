//! How the filters of one module do, over all places in chains that they have.

use std::sync::Arc;

use sidegate_api::{HookStatus, QuarantinePhase, QuarantineStatus};

use crate::factory::FactoryCore;

/// By filter and hook: series are shared by all places, and so are counts.
pub(crate) fn hooks(factories: &[Arc<FactoryCore>]) -> Vec<HookStatus> {
    let mut all: Vec<HookStatus> = Vec::new();
    for one in factories.iter().flat_map(|factory| factory.hooks()) {
        match all.iter_mut().find(|known| (&known.filter, known.hook) == (&one.filter, one.hook)) {
            Some(known) => known.longest = known.longest.max(one.longest),
            None => all.push(one),
        }
    }
    // As they are called: stable, so that a filter's hooks stay in their order.
    all.sort_by(|a, b| a.filter.cmp(&b.filter));
    all
}

/// By filter, of all places the one that is worst off.
pub(crate) fn quarantine(factories: &[Arc<FactoryCore>]) -> Vec<QuarantineStatus> {
    let mut all: Vec<QuarantineStatus> = Vec::new();
    for one in factories.iter().filter_map(|factory| factory.condition()) {
        match all.iter_mut().find(|known| known.filter == one.filter) {
            Some(known) if severity(&one) > severity(known) => *known = one,
            Some(_) => {}
            None => all.push(one),
        }
    }
    all.sort_by(|a, b| a.filter.cmp(&b.filter));
    all
}

fn severity(status: &QuarantineStatus) -> u32 {
    match status.phase {
        QuarantinePhase::Serving => 0,
        QuarantinePhase::OnTrial => 1,
        QuarantinePhase::Trying => 2,
        QuarantinePhase::Out => 3,
    }
}
