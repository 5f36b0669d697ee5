//! What was released stays: `ffi-api/abi/layout` keeps one snapshot per minor.

use std::process::Command;

use sidegate_abi::{ABI_MAJOR, ABI_MINOR};

use crate::ffi_api;
use crate::layout::{numbers, parse, text, types, Number, Type};

/// Types that stand in arrays or inside others: not even an append is
/// compatible.
const FROZEN: [&str; 3] = ["sidegate_slice", "sidegate_header", "sidegate_interests_v1"];

/// Says what in `now` breaks modules or hosts that were built for `then`.
fn breaks(then: &(Vec<Type>, Vec<Number>), now: &(Vec<Type>, Vec<Number>)) -> Vec<String> {
    let mut broken = Vec::new();
    for old in &then.0 {
        let Some(new) = now.0.iter().find(|new| new.name == old.name) else {
            broken.push(format!("{} is gone", old.name));
            continue;
        };
        if FROZEN.contains(&old.name.as_str()) && old != new {
            broken.push(format!("{} is frozen and was changed", old.name));
        }
        if old.align != new.align || old.size > new.size || !new.fields.starts_with(&old.fields) {
            broken.push(format!("{} was changed other than by appending", old.name));
        }
        // A field in what was padding would lie within an older peer's `size`.
        if new.fields.get(old.fields.len()).is_some_and(|appended| appended.offset < old.size) {
            broken.push(format!("{} has a field where it ended before", old.name));
        }
    }
    for (name, value) in &then.1 {
        let same = now.1.iter().any(|(known, now)| known == name && now == value);
        if !same && name != "SIDEGATE_ABI_MINOR" {
            broken.push(format!("{name} is no longer {value}"));
        }
    }
    broken
}

#[test]
fn released_layouts_are_kept() {
    let now = (types(), numbers());
    let newest = ffi_api().join(format!("abi/layout/v{ABI_MAJOR}.{ABI_MINOR}.txt"));
    if std::env::var_os("SIDEGATE_UPDATE_LAYOUT").is_some() {
        std::fs::write(&newest, text(&now.0, &now.1)).unwrap();
    }
    let recorded = std::fs::read_to_string(&newest).unwrap();
    assert_eq!(
        recorded,
        text(&now.0, &now.1),
        "the layout differs from {}. An append to a released minor needs a new minor; before the release, run this \
         test with SIDEGATE_UPDATE_LAYOUT=1",
        newest.display()
    );
    let mut sum = Command::new("sha256sum");
    let sum = crate::run(sum.arg(&newest));
    let known: String = sidegate_abi::LAYOUT_DIGEST.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum.split_whitespace().next(), Some(known.as_str()), "LAYOUT_DIGEST in ffi-api/abi/src/record.rs");
    // Empty for 1.0.
    #[allow(clippy::reversed_empty_ranges)]
    for minor in 0..ABI_MINOR {
        let then = std::fs::read_to_string(ffi_api().join(format!("abi/layout/v{ABI_MAJOR}.{minor}.txt"))).unwrap();
        assert_eq!(breaks(&parse(&then), &now), Vec::<String>::new(), "against {ABI_MAJOR}.{minor}");
    }
}

#[test]
fn no_table_ends_in_padding() {
    for table in types() {
        let end = table.fields.last().map_or(0, |last| last.offset + last.size);
        assert_eq!(end, table.size, "{}: a host could not tell an appended field from padding", table.name);
    }
}

#[test]
fn only_appends_pass() {
    let then = (types(), numbers());
    assert_eq!(parse(&text(&then.0, &then.1)), then);
    let changed = |change: fn(&mut Vec<Type>, &mut Vec<Number>)| {
        let mut now = then.clone();
        change(&mut now.0, &mut now.1);
        breaks(&then, &now)
    };
    let append = |table: &mut Type, offset: usize| {
        let field = crate::layout::Field { name: "new".to_owned(), offset, size: 8 };
        table.fields.push(field);
        table.size = table.size.max(offset + 8);
    };
    let host = then.0.iter().position(|t| t.name == "sidegate_host_v1").unwrap();
    let mut appended = then.clone();
    let end = appended.0[host].size;
    append(&mut appended.0[host], end);
    appended.1.push(("SIDEGATE_VAR_NEW".to_owned(), 24));
    assert_eq!(breaks(&then, &appended), Vec::<String>::new());
    let mut inside = then.clone();
    append(&mut inside.0[host], end - 8);
    assert_eq!(breaks(&then, &inside).len(), 1);
    let mut frozen = then.clone();
    append(&mut frozen.0[0], 16);
    assert_eq!(breaks(&then, &frozen), ["sidegate_slice is frozen and was changed"]);

    assert_eq!(changed(|types, _| types.truncate(1)).len(), then.0.len() - 1);
    assert_eq!(changed(|types, _| types[6].fields.swap(4, 5)).len(), 1);
    assert_eq!(changed(|types, _| types[6].fields[4].size = 4).len(), 1);
    assert_eq!(changed(|types, _| drop(types[6].fields.pop())).len(), 1);
    assert_eq!(changed(|_, numbers| numbers[5].1 += 1).len(), 1);
    assert_eq!(changed(|_, numbers| drop(numbers.pop())).len(), 1);
}
