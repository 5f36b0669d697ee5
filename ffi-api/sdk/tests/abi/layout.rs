//! Every type and number of the ABI, as Rust has them.

use std::mem::{align_of, size_of, MaybeUninit};

use sidegate_abi::*;

/// A struct that crosses the ABI, under its C name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    pub name: String,
    pub size: usize,
    pub align: usize,
    pub fields: Vec<Field>,
}

/// A field of it; C and Rust names are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub offset: usize,
    pub size: usize,
}

/// A constant under its C name.
pub type Number = (String, u64);

fn field<T, F>(name: &str, place: impl Fn(*const T) -> *const F) -> Field {
    let base = MaybeUninit::<T>::uninit();
    let offset = place(base.as_ptr()) as usize - base.as_ptr() as usize;
    Field { name: name.to_owned(), offset, size: size_of::<F>() }
}

macro_rules! types {
    ($($c:literal $rust:ident { $($field:ident)* })*) => {
        vec![$({
            // Fails to compile if a field is missing from the list.
            let _complete = |value: &$rust| { let $rust { $($field: _),* } = value; };
            Type {
                name: $c.to_owned(),
                size: size_of::<$rust>(),
                align: align_of::<$rust>(),
                fields: vec![$(
                    // SAFETY: only the address of the field is formed.
                    field(stringify!($field), |base: *const $rust| unsafe { std::ptr::addr_of!((*base).$field) })
                ),*],
            }
        }),*]
    };
}

pub fn types() -> Vec<Type> {
    types! {
        "sidegate_slice" Slice { ptr len }
        "sidegate_header" Header { name value }
        "sidegate_interests_v1" Interests { phases request_body response_body hooks }
        "sidegate_error_out_v1" ErrorOut {
            size message message_capacity message_len path path_capacity path_len
        }
        "sidegate_reply_v1" Reply { size status flags headers headers_len body }
        "sidegate_completion_v1" Completion {
            size status flags reset_by unused bytes_received bytes_sent duration_ns upstream_duration_ns
        }
        "sidegate_host_v1" HostTable {
            size abi_major abi_minor host_version log_enabled log monotonic_ns wall_ns metric_define metric_add
            metric_set metric_observe header_get header_get_all headers_visit header_set header_add header_remove
            variable_get variable_get_u64 variable_set named_get named_set body_len body_read body_replace
            body_append body_drain reply resume_handle resume resume_retain resume_release route_config fault
            body_waive state_write plugin_call plugin_answer plugin_cancel
        }
        "sidegate_plugin_call_v1" PluginCall {
            size plugin kind headers headers_len trailers trailers_len body timeout_ns
        }
        "sidegate_plugin_answer_v1" PluginAnswer {
            size outcome status headers headers_len trailers trailers_len body message
        }
        "sidegate_hook_v1" Hook { size stream worker_state phase flags }
        "sidegate_filter_table_v1" FilterTable {
            size destroy on_request_headers on_request_body on_request_trailers on_response_headers
            on_response_body on_response_trailers on_resume on_complete
        }
        "sidegate_factory_table_v1" FactoryTable {
            size destroy create_filter create_route_config destroy_route_config worker_attach worker_detach
            export_state import_state
        }
        "sidegate_create_args_v1" CreateArgs { size host module filter_name config error workers unused plugins plugins_len }
        "sidegate_create_result_v1" CreateResult { size factory_table filter_table factory interests }
        "sidegate_module_record_v1" ModuleRecord {
            magic record_size abi_major abi_minor min_host_minor panic flags name version sdk sdk_version compiler
            abi_stable_version layout_digest
        }
    }
}

/// Read from the source, so that none can be forgotten.
pub fn numbers() -> Vec<Number> {
    let source = include_str!("../../../abi/src/numbers.rs");
    let numbers: Vec<Number> = source.lines().filter_map(number).collect();
    assert!(numbers.len() > 80, "the source is written differently");
    assert_eq!(numbers.last(), Some(&("SIDEGATE_NO_DURATION".to_owned(), NO_DURATION)));
    assert!(numbers.contains(&("SIDEGATE_WANT_COMPLETE".to_owned(), WANT_COMPLETE.into())));
    numbers
}

fn number(line: &str) -> Option<Number> {
    let (name, rest) = line.strip_prefix("pub const ")?.split_once(": ")?;
    let (kind, value) = rest.strip_suffix(';')?.split_once(" = ")?;
    let value = match (kind, value.split_once(" << ")) {
        ("u16" | "u32" | "u64", Some((one, by))) => one.parse::<u64>().unwrap() << by.parse::<u32>().unwrap(),
        ("u32", None) if value == "u32::MAX" => u32::MAX.into(),
        ("u64", None) if value == "u64::MAX" => u64::MAX,
        ("u16" | "u32" | "u64", None) => value.parse().unwrap(),
        _ => return None,
    };
    Some((format!("SIDEGATE_{name}"), value))
}

/// The form of snapshots and of what the C program prints.
pub fn text(types: &[Type], numbers: &[Number]) -> String {
    let mut text = String::new();
    for Type { name, size, align, fields } in types {
        text += &format!("type {name} size {size} align {align}\n");
        for Field { name, offset, size } in fields {
            text += &format!("  {name} at {offset} size {size}\n");
        }
    }
    for (name, value) in numbers {
        text += &format!("number {name} {value}\n");
    }
    text
}

pub fn parse(text: &str) -> (Vec<Type>, Vec<Number>) {
    let (mut types, mut numbers) = (Vec::<Type>::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["type", name, "size", size, "align", align] => types.push(Type {
                name: name.to_owned(),
                size: size.parse().unwrap(),
                align: align.parse().unwrap(),
                fields: Vec::new(),
            }),
            ["number", name, value] => numbers.push((name.to_owned(), value.parse().unwrap())),
            [name, "at", offset, "size", size] => types.last_mut().unwrap().fields.push(Field {
                name: name.to_owned(),
                offset: offset.parse().unwrap(),
                size: size.parse().unwrap(),
            }),
            _ => panic!("not a line of a snapshot: {line}"),
        }
    }
    (types, numbers)
}
