//! The name that somebody probably meant.

/// The one of `names` that is fewest edits away from `wrong`, if it is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.len() / 3).max(1);
    names.into_iter().map(|name| (edits(wrong, name), name)).filter(|(count, _)| *count <= limit).min().map(|(_, n)| n)
}

/// Levenshtein distance over bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replace = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["start_time", "duration", "protocol"];
        assert_eq!(nearest("starttime", names), Some("start_time"));
        assert_eq!(nearest("durration", names), Some("duration"));
        assert_eq!(nearest("zzz", names), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
