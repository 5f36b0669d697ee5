//! What an object of settings may hold.

/// The keys of one kind of object.
#[derive(Debug)]
pub struct Table {
    /// Markdown: what the object is for.
    pub doc: &'static str,
    /// What may stand in it.
    pub keys: &'static [Key],
    /// Keys of which one at most may stand in it.
    pub alternatives: &'static [&'static str],
    /// Whether one of them must.
    pub choice: Choice,
    /// How keys may be written.
    pub spelling: Spelling,
}

/// One key and its value.
#[derive(Debug)]
pub struct Key {
    /// As it is usually written.
    pub name: &'static str,
    /// Another name that files have for it.
    pub alias: Option<&'static str>,
    /// What stands there.
    pub shape: Shape,
    /// What counts if it is absent.
    pub absent: Absent,
    /// Markdown: what it does, with units.
    pub doc: &'static str,
}

/// What an absent key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// An error, which says that this was expected.
    Error(&'static str),
    /// This, as text; empty if there is nothing to say.
    Default(&'static str),
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// Any string.
    Text,
    /// A string that is not empty.
    Name,
    /// One of a few strings.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// From the first to the second, both included.
    Integer(u64, u64),
    /// A number, with or without a fraction, from the first to the second.
    Number(f64, f64),
    /// A string such as `1.5s`.
    Duration,
    /// Elements of one shape.
    Array(&'static Shape),
    /// An object with a table.
    Object(&'static Table),
    /// An object whose keys are names that the user chose.
    Map(&'static Shape),
    /// Whatever it is: somebody else reads it.
    Any,
    /// Known elsewhere and an error here; `doc` says why.
    Refused,
}

/// Whether one of a table's alternatives must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It need not.
    Open,
    /// It must.
    Required,
}

/// How the keys of a table may be written, beside the way they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// In any case, as Go reads them.
    AnyCase,
    /// Also in camel case, as protobuf's JSON has them: underscores do not
    /// count.
    Protobuf,
}

impl Table {
    /// A table whose keys may be written in any case.
    pub const fn new(doc: &'static str, keys: &'static [Key]) -> Table {
        Table { doc, keys, alternatives: &[], choice: Choice::Open, spelling: Spelling::AnyCase }
    }

    /// A table whose keys may be written as protobuf's JSON has them.
    pub const fn protobuf(doc: &'static str, keys: &'static [Key]) -> Table {
        Table { spelling: Spelling::Protobuf, ..Table::new(doc, keys) }
    }

    /// One at most of `alternatives` may be there.
    pub const fn at_most_one(self, alternatives: &'static [&'static str]) -> Table {
        Table { alternatives, ..self }
    }

    /// One of `alternatives` must be there.
    pub const fn exactly_one(self, alternatives: &'static [&'static str]) -> Table {
        Table { alternatives, choice: Choice::Required, ..self }
    }

    /// The key that a file means by `written`.
    pub(super) fn key(&self, written: &str) -> Option<&'static Key> {
        let same = |name: &str| match self.spelling {
            Spelling::AnyCase => name.eq_ignore_ascii_case(written),
            Spelling::Protobuf => {
                let bare = |text: &str| text.replace('_', "").to_ascii_lowercase();
                bare(name) == bare(written)
            }
        };
        self.keys.iter().find(|key| same(key.name) || key.alias.is_some_and(same))
    }
}

/// A key; `default` is what counts without it, as text.
pub const fn key(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Key {
    Key { name, alias: None, shape, absent: Absent::Default(default), doc }
}

/// A key whose absence is an error that says that `expected` was.
pub const fn required(name: &'static str, shape: Shape, expected: &'static str, doc: &'static str) -> Key {
    Key { name, alias: None, shape, absent: Absent::Error(expected), doc }
}

/// A key that others know; `why` completes "not available: …".
pub const fn refused(name: &'static str, why: &'static str) -> Key {
    Key { name, alias: None, shape: Shape::Refused, absent: Absent::Default(""), doc: why }
}
