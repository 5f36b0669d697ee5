//! Edits of hosts, from the words of the admin interface to those of the
//! manager.

use std::sync::Arc;

use sidegate_admin::{HostDeed, HostEdit};
use sidegate_manager::{Expected, HostsEdit, HostsVersion, Refused, Why};
use sidegate_upstream::{HostConfig, HostDuty, HostWeight};

/// The edit, if its numbers are possible ones.
pub(crate) fn hosts_edit(edit: HostEdit) -> Result<HostsEdit, Refused> {
    let HostEdit { cluster, if_match, address, deed, editor } = edit;
    let expected = match if_match {
        None => Expected::Anything,
        Some(tags) => Expected::OneOf(tags.into_iter().map(HostsVersion::said).collect()),
    };
    let deed = match deed {
        HostDeed::Add { weight, hostname, metadata } => sidegate_manager::HostDeed::Add(HostConfig {
            hostname: hostname.map(Arc::from),
            weight: checked(weight)?.unwrap_or_default(),
            metadata,
            ..HostConfig::new(address)
        }),
        HostDeed::Set { weight, drained } => sidegate_manager::HostDeed::Set {
            address,
            weight: checked(weight)?,
            duty: drained.map(|drained| if drained { HostDuty::Drained } else { HostDuty::Serves }),
        },
        HostDeed::Remove => sidegate_manager::HostDeed::Remove(address),
    };
    Ok(HostsEdit { cluster, expected, deed, editor })
}

fn checked(weight: Option<u64>) -> Result<Option<HostWeight>, Refused> {
    let weight = weight.map(HostWeight::new).transpose();
    weight.map_err(|error| Refused::because(Why::Configuration, error.to_string()))
}
