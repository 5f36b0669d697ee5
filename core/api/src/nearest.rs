//! The name that was probably meant.

/// The name that takes the fewest edits to reach, if that is few enough to be
/// a slip. Case does not count; nothing is no slip of anything.
pub fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer texts are no slip of anything here, and the table is quadratic.
    if text.is_empty() || text.len() > 100 {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let allowed = (text.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter(|name| name.len() <= 100)
        .map(|name| (edits(&text, &name.to_ascii_lowercase()), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// `; did you mean "x"?`, or nothing.
pub fn hint<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string
/// alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = previous[j] + usize::from(x != y);
            let mut cost = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            current.push(cost);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        assert_eq!(nearest("addres", ["name", "address"]), Some("address"));
        assert_eq!(nearest("Adress", ["name", "address"]), Some("address"));
        assert_eq!(nearest("naem", ["name", "address"]), Some("name"));
        assert_eq!(nearest("color", ["name", "address"]), None);
        assert_eq!(nearest(&"x".repeat(1000), ["name"]), None);
        assert_eq!(nearest("x", ["X", "y"]), Some("X"));
        assert_eq!(nearest("", ["X"]), None);
        assert_eq!(nearest("d", ["c"]), Some("c"));
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
