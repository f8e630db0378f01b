//! "Did you mean": the known word that a wrong one was probably meant to be.

/// Words longer than this are not compared: no name of the language is, and the cost grows with the square.
const MAX_WORD: usize = 80;

/// The candidate that `word` most likely stands for: equal but for case or `-` and `_`, else a few typing
/// errors away (one for three letters, at most four). The first of equals.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(word);
    let letters = wanted.chars().count();
    if letters == 0 || word.len() > MAX_WORD {
        return None;
    }
    let allowed = (letters / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let ahead = best.map_or(allowed, |(distance, _)| distance.saturating_sub(1));
        if candidate == word || candidate.len().abs_diff(word.len()) > 4 * (allowed + 1) {
            continue;
        }
        let distance = strsim::osa_distance(&wanted, &fold(candidate));
        // With one or two letters everything is one error away from everything.
        let is_close = distance <= ahead && distance < letters;
        if is_close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let stages = ["build", "test", "check-env", "deploy"];
        for (word, meant) in [
            ("biuld", Some("build")),
            ("buld", Some("build")),
            ("Check_Env", Some("check-env")),
            ("deplyo", Some("deploy")),
            ("tset", Some("test")),
            ("x", None),
            ("", None),
            ("rollback", None),
        ] {
            assert_eq!(nearest(word, stages), meant, "{word}");
        }
        assert_eq!(nearest("ab", ["ac", "ab2"]), Some("ac"), "the first of equals");
        assert_eq!(nearest("needs", ["needs"]), None, "the word itself is no help");
        assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None, "a huge word costs nothing");
    }
}
