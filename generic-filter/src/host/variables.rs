//! Numbered variables of the stream and named ones that filters share.

use sidegate_abi::{NOT_FOUND, Slice, Stream, UNSUPPORTED};
use sidegate_api::{Variable, VariableValue};

use super::answer;
use super::arguments::{Copied, Out, bytes};
use super::scope::{edit, noted, shown, with_cx};

fn variable(number: u32) -> Result<Variable, u32> {
    Variable::from_number(number).ok_or(UNSUPPORTED)
}

pub(super) unsafe extern "C" fn variable_get(stream: *mut Stream, number: u32, value: *mut Slice) -> u32 {
    answer(|| {
        let out = Out::required(value)?;
        let variable = variable(number)?;
        let found = with_cx(stream, |cx| match cx.variable(variable) {
            Some(VariableValue::Bytes(bytes)) => Ok(Slice::from_bytes(bytes)),
            Some(VariableValue::Integer(_)) => Err(UNSUPPORTED),
            None if is_integer(variable) => Err(UNSUPPORTED),
            None => Err(NOT_FOUND),
        })?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(found) };
        Ok(())
    })
}

fn is_integer(variable: Variable) -> bool {
    matches!(variable, Variable::Status | Variable::BytesReceived | Variable::BytesSent | Variable::ResponseFlags)
}

pub(super) unsafe extern "C" fn variable_get_u64(stream: *mut Stream, number: u32, value: *mut u64) -> u32 {
    answer(|| {
        let out = Out::required(value)?;
        let variable = variable(number)?;
        let found = with_cx(stream, |cx| match cx.variable(variable) {
            Some(VariableValue::Integer(number)) => Ok(number),
            Some(VariableValue::Bytes(_)) => Err(UNSUPPORTED),
            None if is_integer(variable) => Err(NOT_FOUND),
            None => Err(UNSUPPORTED),
        })?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(found) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn variable_set(stream: *mut Stream, number: u32, value: Slice) -> u32 {
    answer(|| {
        let variable = variable(number)?;
        // SAFETY: the module lends it for the call; it may lie in the stream
        // itself, hence the copy.
        let value = Copied::of(unsafe { bytes(value) }?);
        edit(stream, "variable_set", || format!("{variable:?}"), |cx| cx.set_variable(variable, value.get()))
    })
}

pub(super) unsafe extern "C" fn named_get(stream: *mut Stream, name: Slice, value: *mut Slice) -> u32 {
    answer(|| {
        let out = Out::required(value)?;
        // SAFETY: the module lends it for the call.
        let name = unsafe { bytes(name) }?;
        let found = with_cx(stream, |cx| Ok(Slice::from_bytes(cx.named(name).ok_or(NOT_FOUND)?)))?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(found) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn named_set(stream: *mut Stream, name: Slice, value: Slice) -> u32 {
    answer(|| {
        // SAFETY: as in `variable_set`.
        let (name, value) = unsafe { (Copied::of(bytes(name)?), Copied::of(bytes(value)?)) };
        noted(stream, "named_set", || shown(name.get()), |cx| cx.set_named(name.get(), value.get()))
    })
}
