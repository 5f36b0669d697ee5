//! Words that languages keep for themselves, where a name becomes that of a
//! crate or of a module of the language.

use crate::cli::Language;

/// Keywords of all editions, those that are only reserved too, and crates that
/// are always there.
const RUST: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "sidegate-sdk",
];

/// Modules of the language itself.
const GO: &[&str] = &["cmd", "std"];

/// Which language `name` is a word of, if a filter in `language` cannot be
/// called so.
pub(super) fn reserved(name: &str, language: Language) -> Option<&'static str> {
    let (words, whose) = match language {
        Language::Rust => (RUST, "Rust"),
        Language::Go => (GO, "Go"),
        Language::C | Language::Cpp | Language::Zig => return None,
    };
    words.contains(&name).then_some(whose)
}
