//! Text of strangers that people are shown.

use std::borrow::Cow;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Whether terminals and logs obey a character in place of showing it: controls,
/// Unicode's format characters (which turn the reading direction, or are not
/// seen), separators of lines and paragraphs.
pub fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        get_general_category(character),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

/// `text` on one line: a replacement character in the place of each that is
/// hidden, but for tabs.
pub fn shown(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c != '\t' && is_hidden(c);
    match text.contains(hidden) {
        true => text.chars().map(|c| if hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect(),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed_or_not_seen_is_hidden_and_letters_of_all_scripts_are_not() {
        let obeyed = "\u{0}\u{7}\n\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}";
        let turning = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}";
        let unseen = "\u{ad}\u{180e}\u{200b}\u{200d}\u{2060}\u{feff}\u{fff9}\u{e0001}\u{e0041}";
        for c in [obeyed, turning, unseen].concat().chars() {
            assert!(is_hidden(c), "{c:?}");
        }
        for c in "a ~\u{a0}\u{e9}\u{301}\u{5d0}\u{627}\u{4e2d}\u{1f600}\u{fffd}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
        assert_eq!(shown("a\tb\u{202e}c\u{1b}"), "a\tb\u{fffd}c\u{fffd}");
        assert!(matches!(shown("plain\ttext"), Cow::Borrowed(_)));
    }
}
