//! "Did you mean": the known word nearest to one that is not known.

/// The candidate nearest to `word`, if one is near enough to be a slip of the pen: at most one edit in
/// three characters, and never more than three.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX).collect();
    let edits_max = word.len().div_ceil(3).min(3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= word.len() + edits_max)
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= edits_max && *edits < candidate.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Longer words are compared by their beginning only.
const WORD_CHARS_MAX: usize = 128;

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other,
/// capitals aside (optimal string alignment).
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let same = |x: char, y: char| x.eq_ignore_ascii_case(&y);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut edits = at(&above, j) + usize::from(!same(x, y));
            edits = edits.min(at(&above, j + 1) + 1).min(left + 1);
            if let (Some(i1), Some(j1)) = (i.checked_sub(1), j.checked_sub(1))
                && a.get(i1).is_some_and(|&p| same(p, y))
                && b.get(j1).is_some_and(|&p| same(p, x))
            {
                edits = edits.min(at(&before, j1) + 1);
            }
            left = edits;
            row.push(edits);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_pen_and_nothing_else() {
        let known = ["listeners", "upstreams", "routes", "admin"];
        assert_eq!(nearest("listener", known), Some("listeners"));
        assert_eq!(nearest("uptsreams", known), Some("upstreams"));
        assert_eq!(nearest("Routes", known), Some("routes"));
        assert_eq!(nearest("adn", known), None);
        assert_eq!(nearest("certificates", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
