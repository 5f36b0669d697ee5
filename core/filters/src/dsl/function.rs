//! The functions of expressions: CEL's, those of its extension for strings,
//! and MOSN's.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use super::clock::{Part, Span, Stamp};
use super::kind::{Fail, Kind, Map, Value, Work};
use super::names::{DnsName, Email, Uri};

/// One form of a function. A receiver is its first parameter.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) takes: &'static [Kind],
    pub(super) gives: Kind,
    pub(super) call: Call,
}

type Call = for<'v> fn(Vec<Value<'v>>, &Work) -> Result<Value<'v>, Fail>;

const fn function(name: &'static str, takes: &'static [Kind], gives: Kind, call: Call) -> Function {
    Function { name, takes, gives, call }
}

/// The next argument, as what the table says it is.
macro_rules! argument {
    ($arguments:ident, $kind:ident) => {
        match $arguments.next() {
            Some(Value::$kind(value)) => value,
            _ => return Err(Fail::Kind),
        }
    };
}

/// The body of a function of arguments of these kinds.
macro_rules! call {
    (|$work:pat_param, $($name:ident: $kind:ident),*| $body:expr) => {
        |arguments, $work| {
            let mut arguments = arguments.into_iter();
            $(let $name = argument!(arguments, $kind);)*
            $body
        }
    };
}

use Kind::{Bool, Double, Int, Ip, List, Map as KindMap, Span as KindSpan, Stamp as KindStamp, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    // CEL
    function(
        "size",
        &[Text],
        Int,
        call!(|work, text: Text| {
            work.look(text.len())?;
            count(text.chars().count())
        }),
    ),
    function("size", &[List], Int, call!(|_, list: List| count(list.len()))),
    function(
        "startsWith",
        &[Text, Text],
        Bool,
        call!(|work, text: Text, with: Text| {
            work.look(with.len())?;
            Ok(Value::Bool(text.starts_with(&*with)))
        }),
    ),
    function(
        "endsWith",
        &[Text, Text],
        Bool,
        call!(|work, text: Text, with: Text| {
            work.look(with.len())?;
            Ok(Value::Bool(text.ends_with(&*with)))
        }),
    ),
    function(
        "contains",
        &[Text, Text],
        Bool,
        call!(|work, text: Text, part: Text| {
            work.look(text.len() + part.len())?;
            Ok(Value::Bool(text.contains(&*part)))
        }),
    ),
    function("int", &[Int], Int, call!(|_, value: Int| Ok(Value::Int(value)))),
    function(
        "int",
        &[Double],
        Int,
        call!(|_, value: Double| {
            // Beyond these bounds a cast would saturate.
            let is_within = value > -9_223_372_036_854_775_808.0 && value < 9_223_372_036_854_775_808.0;
            if is_within { Ok(Value::Int(value as i64)) } else { Err(Fail::Arithmetic) }
        }),
    ),
    function("int", &[Text], Int, call!(|_, text: Text| converted(text.parse().ok().map(Value::Int)))),
    function("int", &[KindStamp], Int, call!(|_, stamp: Stamp| Ok(Value::Int(stamp.0.div_euclid(1_000_000_000))))),
    function("int", &[KindSpan], Int, call!(|_, span: Span| Ok(Value::Int(span.0)))),
    function("double", &[Double], Double, call!(|_, value: Double| Ok(Value::Double(value)))),
    function("double", &[Int], Double, call!(|_, value: Int| Ok(Value::Double(value as f64)))),
    function("double", &[Text], Double, call!(|_, text: Text| converted(text.parse().ok().map(Value::Double)))),
    function("bool", &[Bool], Bool, call!(|_, value: Bool| Ok(Value::Bool(value)))),
    function(
        "bool",
        &[Text],
        Bool,
        call!(|_, text: Text| match &*text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(Fail::Conversion),
        }),
    ),
    function("string", &[Text], Text, call!(|_, text: Text| Ok(Value::Text(text)))),
    function("string", &[Int], Text, call!(|work, value: Int| made(value.to_string(), work))),
    function("string", &[Double], Text, call!(|work, value: Double| made(value.to_string(), work))),
    function("string", &[Bool], Text, call!(|_, value: Bool| Ok(Value::text(if value { "true" } else { "false" })))),
    function("string", &[KindStamp], Text, call!(|work, stamp: Stamp| made(stamp.to_string(), work))),
    function("string", &[KindSpan], Text, call!(|work, span: Span| made(span.to_string(), work))),
    function("duration", &[KindSpan], KindSpan, call!(|_, span: Span| Ok(Value::Span(span)))),
    function("duration", &[Text], KindSpan, call!(|_, text: Text| converted(Span::parse(&text).map(Value::Span)))),
    function("timestamp", &[KindStamp], KindStamp, call!(|_, stamp: Stamp| Ok(Value::Stamp(stamp)))),
    function("timestamp", &[Text], KindStamp, call!(|_, text: Text| converted(Stamp::parse(&text).map(Value::Stamp)))),
    function("getFullYear", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::FullYear))),
    function("getMonth", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::Month))),
    function("getDate", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::Date))),
    function("getDayOfMonth", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::DayOfMonth))),
    function("getDayOfWeek", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::DayOfWeek))),
    function("getDayOfYear", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::DayOfYear))),
    function("getHours", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::Hours))),
    function("getMinutes", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::Minutes))),
    function("getSeconds", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::Seconds))),
    function("getMilliseconds", &[KindStamp], Int, call!(|_, stamp: Stamp| part(stamp, Part::Milliseconds))),
    function("getHours", &[KindSpan], Int, call!(|_, span: Span| Ok(Value::Int(span.0 / 3_600_000_000_000)))),
    function("getMinutes", &[KindSpan], Int, call!(|_, span: Span| Ok(Value::Int(span.0 / 60_000_000_000)))),
    function("getSeconds", &[KindSpan], Int, call!(|_, span: Span| Ok(Value::Int(span.0 / 1_000_000_000)))),
    function("getMilliseconds", &[KindSpan], Int, call!(|_, span: Span| Ok(Value::Int(span.0 / 1_000_000)))),
    // CEL's extension for strings; characters are counted.
    function(
        "charAt",
        &[Text, Int],
        Text,
        call!(|work, text: Text, at: Int| cut(text, at, Some(at.saturating_add(1)), Clip::Short, work)),
    ),
    function(
        "substring",
        &[Text, Int],
        Text,
        call!(|work, text: Text, from: Int| cut(text, from, None, Clip::No, work)),
    ),
    function(
        "substring",
        &[Text, Int, Int],
        Text,
        call!(|work, text: Text, from: Int, to: Int| cut(text, from, Some(to), Clip::No, work)),
    ),
    function(
        "indexOf",
        &[Text, Text],
        Int,
        call!(|work, text: Text, part: Text| {
            work.look(text.len() + part.len())?;
            position(&text, text.find(&*part))
        }),
    ),
    function(
        "lastIndexOf",
        &[Text, Text],
        Int,
        call!(|work, text: Text, part: Text| {
            work.look(text.len() + part.len())?;
            position(&text, text.rfind(&*part))
        }),
    ),
    function(
        "replace",
        &[Text, Text, Text],
        Text,
        call!(|work, text: Text, old: Text, new: Text| replaced(&text, &old, &new, usize::MAX, work)),
    ),
    function(
        "replace",
        &[Text, Text, Text, Int],
        Text,
        call!(|work, text: Text, old: Text, new: Text, most: Int| {
            // A negative number is none.
            replaced(&text, &old, &new, usize::try_from(most).unwrap_or(usize::MAX), work)
        }),
    ),
    function("split", &[Text, Text], List, call!(|work, text: Text, by: Text| split(text, &by, work))),
    function(
        "trim",
        &[Text],
        Text,
        call!(|work, text: Text| {
            work.look(text.len())?;
            Ok(Value::Text(match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            }))
        }),
    ),
    // MOSN
    function(
        "match",
        &[Text, Text],
        Bool,
        call!(|work, text: Text, pattern: Text| {
            work.look(pattern.len())?;
            Ok(Value::Bool(match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
                (Some(start), _) => text.starts_with(start),
                (None, Some(end)) => text.ends_with(end),
                (None, None) => text == pattern,
            }))
        }),
    ),
    function(
        "reverse",
        &[Text],
        Text,
        call!(|work, text: Text| {
            work.make(text.len())?;
            Ok(Value::text(text.chars().rev().collect::<String>()))
        }),
    ),
    function("toLower", &[Text], Text, call!(|work, text: Text| lower(&text, work))),
    function("toUpper", &[Text], Text, call!(|work, text: Text| upper(&text, work))),
    function("lowerAscii", &[Text], Text, call!(|work, text: Text| made(text.to_ascii_lowercase(), work))),
    function("upperAscii", &[Text], Text, call!(|work, text: Text| made(text.to_ascii_uppercase(), work))),
    function(
        "conditionalString",
        &[Bool, Text, Text],
        Text,
        call!(|_, which: Bool, yes: Text, no: Text| Ok(Value::Text(if which { yes } else { no }))),
    ),
    function(
        "email",
        &[Text],
        Kind::Email,
        call!(|work, text: Text| {
            work.make(text.len())?;
            Email::parse(&text).map(|email| Value::Email(Box::new(email)))
        }),
    ),
    function(
        "dnsName",
        &[Text],
        Kind::DnsName,
        call!(|work, text: Text| {
            work.make(text.len())?;
            DnsName::parse(&text).map(|name| Value::DnsName(Box::new(name)))
        }),
    ),
    function(
        "uri",
        &[Text],
        Kind::Uri,
        call!(|work, text: Text| {
            work.make(text.len())?;
            Uri::parse(&text).map(|uri| Value::Uri(Box::new(uri)))
        }),
    ),
    function(
        "ip",
        &[Text],
        Ip,
        call!(|_, text: Text| Ok(Value::Ip(text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())))),
    ),
    function(
        "string",
        &[Ip],
        Text,
        call!(|work, ip: Ip| match ip {
            Some(ip) => made(ip.to_string(), work),
            // As Go writes it.
            None => Ok(Value::text("<nil>")),
        }),
    ),
    function("string", &[Kind::Uri], Text, call!(|work, uri: Uri| made(uri.written().to_owned(), work))),
    function("emptyStringMap", &[], KindMap, |_, _| Ok(Value::Map(Map::Empty))),
];

fn count(count: usize) -> Result<Value<'static>, Fail> {
    i64::try_from(count).map(Value::Int).map_err(|_| Fail::Arithmetic)
}

fn converted(value: Option<Value<'_>>) -> Result<Value<'_>, Fail> {
    value.ok_or(Fail::Conversion)
}

fn made(text: String, work: &Work) -> Result<Value<'static>, Fail> {
    work.make(text.len())?;
    Ok(Value::text(text))
}

fn lower(text: &str, work: &Work) -> Result<Value<'static>, Fail> {
    work.make(text.len())?;
    made(text.to_lowercase(), work)
}

fn upper(text: &str, work: &Work) -> Result<Value<'static>, Fail> {
    work.make(text.len())?;
    made(text.to_uppercase(), work)
}

fn part(stamp: Stamp, part: Part) -> Result<Value<'static>, Fail> {
    Ok(Value::Int(stamp.part(part)))
}

/// In characters; -1 if there is none.
fn position(text: &str, byte: Option<usize>) -> Result<Value<'static>, Fail> {
    match byte.and_then(|byte| text.get(..byte)) {
        Some(before) => count(before.chars().count()),
        None => Ok(Value::Int(-1)),
    }
}

/// Whether the end may lie beyond the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clip {
    No,
    Short,
}

/// The characters from `from` to `to`, which is not among them.
fn cut<'v>(text: Cow<'v, str>, from: i64, to: Option<i64>, clip: Clip, work: &Work) -> Result<Value<'v>, Fail> {
    work.look(text.len())?;
    let length = text.chars().count();
    let index = |at: i64| usize::try_from(at).map_err(|_| Fail::Index);
    let from = index(from)?;
    let mut to = to.map_or(Ok(length), index)?;
    if clip == Clip::Short {
        to = to.min(length);
    }
    if from > to || to > length {
        return Err(Fail::Index);
    }
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let (from, to) = (byte(from), byte(to));
    Ok(Value::Text(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(from..to).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(from..to).unwrap_or_default().to_owned()),
    }))
}

fn replaced(text: &str, old: &str, new: &str, most: usize, work: &Work) -> Result<Value<'static>, Fail> {
    work.look(text.len() + old.len())?;
    let found = text.matches(old).count().min(most);
    // Before it is made: nested replacements would multiply.
    let length = found.checked_mul(new.len()).and_then(|more| more.checked_add(text.len())).ok_or(Fail::Work)?;
    work.make(length)?;
    Ok(Value::text(text.replacen(old, new, found)))
}

/// Elements are paid for one by one: a text of commas is mostly elements.
fn split<'v>(text: Cow<'v, str>, by: &str, work: &Work) -> Result<Value<'v>, Fail> {
    const ELEMENT: usize = 32;
    work.look(text.len() + by.len())?;
    let elements = if by.is_empty() { text.chars().count() } else { text.matches(by).count() + 1 };
    work.make(elements.saturating_mul(ELEMENT))?;
    let ranges = ranges(&text, by);
    Ok(Value::List(match text {
        Cow::Borrowed(text) => ranges.map(|at| Cow::Borrowed(text.get(at).unwrap_or_default())).collect(),
        Cow::Owned(text) => ranges.map(|at| Cow::Owned(text.get(at).unwrap_or_default().to_owned())).collect(),
    }))
}

/// Where the parts are; characters, if there is nothing to split by.
fn ranges(text: &str, by: &str) -> std::vec::IntoIter<Range<usize>> {
    let ranges: Vec<Range<usize>> = if by.is_empty() {
        text.char_indices().map(|(at, c)| at..at + c.len_utf8()).collect()
    } else {
        let mut from = 0;
        let mut ranges: Vec<_> =
            text.match_indices(by).map(|(at, _)| std::mem::replace(&mut from, at + by.len())..at).collect();
        ranges.push(from..text.len());
        ranges
    };
    ranges.into_iter()
}
