//! What a stream is about: its variables, numbered and named.

use std::net::IpAddr;

use sidegate_abi as abi;

use super::Stream;
use crate::host::{check, host_fn, lent};
use crate::{HostError, NumberVariable, Variable};

impl<'a> Stream<'a> {
    /// Text of a variable, if it has one yet.
    pub fn variable(&self, variable: Variable) -> Option<&[u8]> {
        let get = host_fn!(self.host, variable_get).ok()?;
        let mut value = abi::Slice::EMPTY;
        // SAFETY: in the stream's hook.
        check(unsafe { get(self.raw, variable as u32, &mut value) }).ok()?;
        // SAFETY: lent until the stream is changed, which the borrow excludes.
        Some(unsafe { lent(value) })
    }

    /// The same as text; `None` also if it is not UTF-8.
    pub fn variable_str(&self, variable: Variable) -> Option<&str> {
        std::str::from_utf8(self.variable(variable)?).ok()
    }

    /// Value of a number variable, if it has one yet.
    pub fn number(&self, variable: NumberVariable) -> Option<u64> {
        let get = host_fn!(self.host, variable_get_u64).ok()?;
        let mut value = 0;
        // SAFETY: in the stream's hook.
        check(unsafe { get(self.raw, variable as u32, &mut value) }).ok()?;
        Some(value)
    }

    /// The request's method.
    pub fn method(&self) -> Option<&str> {
        self.variable_str(Variable::Method)
    }

    /// The request's path, without query.
    pub fn path(&self) -> Option<&str> {
        self.variable_str(Variable::Path)
    }

    /// The request's query, without `?`; `None` if there is none.
    pub fn query(&self) -> Option<&str> {
        self.variable_str(Variable::Query)
    }

    /// Path and query as the client sent them: before they were normalized or
    /// rewritten. `None` also from a host of ABI 1.0.
    pub fn original_target(&self) -> Option<&[u8]> {
        self.variable(Variable::OriginalTarget)
    }

    /// Host and optional port that the request is for.
    pub fn authority(&self) -> Option<&str> {
        self.variable_str(Variable::Authority)
    }

    /// The client's address.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.variable_str(Variable::DownstreamRemoteIp)?.parse().ok()
    }

    /// Status of the response, once there is one.
    pub fn status(&self) -> Option<u16> {
        u16::try_from(self.number(NumberVariable::Status)?).ok()
    }

    /// Sets a variable that can be set.
    pub fn set_variable(&mut self, variable: Variable, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.set_raw(variable as u32, value.as_ref())
    }

    /// Sets the status of the response; once there is one.
    pub fn set_status(&mut self, status: u16) -> Result<(), HostError> {
        self.set_raw(abi::VAR_STATUS, status.to_string().as_bytes())
    }

    fn set_raw(&mut self, variable: u32, value: &[u8]) -> Result<(), HostError> {
        let set = host_fn!(self.host, variable_set)?;
        // SAFETY: in the stream's hook; the value is lent for the call.
        check(unsafe { set(self.raw, variable, abi::Slice::from_bytes(value)) })
    }

    /// Value of a variable that the stream's filters share by name, of this
    /// module and others.
    pub fn named(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let get = host_fn!(self.host, named_get).ok()?;
        let mut value = abi::Slice::EMPTY;
        // SAFETY: in the stream's hook; the name is lent for the call.
        check(unsafe { get(self.raw, abi::Slice::from_bytes(name.as_ref()), &mut value) }).ok()?;
        // SAFETY: lent until the stream is changed, which the borrow excludes.
        Some(unsafe { lent(value) })
    }

    /// The same as text; `None` also if it is not UTF-8.
    pub fn named_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        std::str::from_utf8(self.named(name)?).ok()
    }

    /// Sets a variable that the stream's filters share by name.
    /// [`HostError::Limit`] if they would hold more than the host allows.
    pub fn set_named(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        let set = host_fn!(self.host, named_set)?;
        let (name, value) = (name.as_ref(), value.as_ref());
        // SAFETY: in the stream's hook; both are lent for the call.
        check(unsafe { set(self.raw, abi::Slice::from_bytes(name), abi::Slice::from_bytes(value)) })
    }
}
