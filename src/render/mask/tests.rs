use proptest::prelude::*;

use super::*;

fn masker(values: &[&[u8]]) -> Masker {
    let secrets: Vec<Secret> = values.iter().map(|value| Secret::new(value.to_vec())).collect();
    Masker::new(&secrets).expect("there is something to find")
}

fn in_pieces(masker: &Masker, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stream = Stream::default();
    let mut rest = text;
    for cut in cuts {
        let (piece, more) = rest.split_at((*cut).min(rest.len()));
        stream.push(masker, piece, &mut out);
        rest = more;
    }
    stream.push(masker, rest, &mut out);
    stream.finish(masker, &mut out);
    out
}

#[test]
fn without_secrets_there_is_no_masker() {
    assert!(Masker::new([]).is_none());
    assert!(Masker::new(&[Secret::new(b"abc".to_vec())]).is_none(), "too short to be told from common words");
}

#[test]
fn a_value_becomes_one_sign() {
    let masker = masker(&[b"hunter2-hunter2"]);
    assert_eq!(masker.mask("the password is hunter2-hunter2, keep it"), "the password is ***, keep it");
    assert_eq!(masker.mask("hunter2-hunter2hunter2-hunter2"), "***");
    assert_eq!(masker.mask("hunter2-hunter"), "hunter2-hunter");
}

#[test]
fn overlapping_values_leave_nothing() {
    let masker = masker(&[b"abcdefgh", b"efghijkl", b"cdef"]);
    assert_eq!(masker.mask("_abcdefghijkl_"), "_***_");
    assert_eq!(masker.mask("_abcdefghij_"), "_***ij_");
}

#[test]
fn only_what_may_begin_a_secret_is_kept_back() {
    let masker = masker(&[b"hunter2-hunter2"]);
    let (mut stream, mut out) = (Stream::default(), Vec::new());
    stream.push(&masker, b"password: hunt", &mut out);
    assert_eq!(out, b"password: ");
    stream.push(&masker, b"ing season", &mut out);
    assert_eq!(out, b"password: hunting season");
    stream.push(&masker, b" hunter2-hunter", &mut out);
    stream.push(&masker, b"2", &mut out);
    assert_eq!(out, b"password: hunting season ***");
    stream.push(&masker, b"hunter2-hunter2!", &mut out);
    assert_eq!(out, b"password: hunting season ***!", "signs that touch are one, also across reads");
}

#[test]
fn what_is_kept_back_comes_at_the_end() {
    let masker = masker(&[b"hunter2-hunter2"]);
    assert_eq!(in_pieces(&masker, b"hunter2-hunt", &[3]), b"hunter2-hunt");
}

#[test]
fn a_long_value_is_found_in_pieces_and_little_is_kept_back() {
    let value: Vec<u8> = (0..64 * 1024_u32)
        .map(|n| b'!' + u8::try_from(n.wrapping_mul(2_654_435_761) >> 26).expect("six bits"))
        .collect();
    let masker = masker(&[&value]);
    let (mut stream, mut out) = (Stream::default(), Vec::new());
    stream.push(&masker, &value[..1000], &mut out);
    assert!(format!("{stream:?}").len() < "Stream(123 bytes held)".len() + 1, "{stream:?}");
    let text = [b"<", &value[..], b">"].concat();
    assert_eq!(in_pieces(&masker, &text, &[1000, 64, 63, 8192]), b"<***>");
}

#[test]
fn every_line_of_a_key_is_found_alone() {
    let masker = masker(&[b"-----BEGIN KEY-----\nMIIEvQIBADANBg\r\nkqhkiG9w0BAQ\n-----END KEY-----\n"]);
    assert_eq!(masker.mask("> MIIEvQIBADANBg <\n> kqhkiG9w0BAQ <"), "> *** <\n> *** <");
}

#[test]
fn the_forms_that_tools_write_are_found() {
    let value = "p\u{e9}\"'$ /<x>\\&q+=9";
    let masker = masker(&[value.as_bytes()]);
    let forms = [
        r#"p\u00e9\"'$ /<x>\\&q+=9"#,
        r#"p\u00E9\"'$ \/<x>\\&q+=9"#,
        r#"pé\"'$ /\u003cx\u003e\\\u0026q+=9"#,
        "p%C3%A9%22%27%24%20%2F%3Cx%3E%5C%26q%2B%3D9",
        "p%c3%a9%22%27%24+%2f%3cx%3e%5c%26q%2b%3d9",
        "p%C3%A9%22'%24%20%2F%3Cx%3E%5C%26q%2B%3D9",
        r#"pé"'\''$ /<x>\&q+=9"#,
        r#"pé"'"'"'$ /<x>\&q+=9"#,
        r#"pé\"'\$ /<x>\\&q+=9"#,
        r#"pé\"\'\$\ /\<x\>\\\&q+=9"#,
        r#"p\303\251"\'$ /<x>\\&q+=9"#,
        "70c3a9222724202f3c783e5c26712b3d39",
        "70C3A9222724202F3C783E5C26712B3D39",
    ];
    for form in forms {
        assert_eq!(masker.mask(form), "***", "{form}");
    }
}

#[test]
fn what_our_own_filters_write_is_found() {
    for value in ["pa`ss$w\"o\\rd\nline", "a#b: {c}", "p\u{85}q\u{2028}r'long", "tab\there it is"] {
        let masker = masker(&[value.as_bytes()]);
        for (name, form) in crate::render::quote::FORMS {
            let Ok(text) = form.of(&value.into()) else { continue };
            let shown = masker.mask(&format!("KEY={text}"));
            assert!(["KEY=***", "KEY=\"***\"", "KEY='***'"].contains(&shown.as_str()), "{name}: {text} {shown}");
        }
    }
}

#[test]
fn base64_is_found_wherever_the_value_stands_in_it() {
    use base64::Engine;
    let value = b"correct horse battery";
    let masker = masker(&[value]);
    for engine in [&base64::engine::general_purpose::STANDARD, &base64::engine::general_purpose::URL_SAFE_NO_PAD] {
        for before in 0..6 {
            for after in 0..4 {
                let text = [&b"######"[..before], value, &b"####"[..after]].concat();
                let coded = engine.encode(&text);
                let shown = masker.mask(&coded);
                assert!(shown.contains("***"), "{before} {after} {coded}");
                // What is left beside the sign stands for the bytes around the value and at most six bits of it.
                let left = shown.replace("***", "").trim_end_matches('=').len();
                assert!(left <= (before + after) * 8 / 6 + 4, "{before} {after} {coded} {shown}");
            }
        }
    }
}

#[test]
fn wrapped_base64_is_found_line_by_line() {
    use base64::Engine;
    let value: Vec<u8> = (0..300_u32).map(|n| u8::try_from(n * 7 % 251).expect("below 251")).collect();
    let masker = masker(&[&value]);
    let coded = base64::engine::general_purpose::STANDARD.encode(&value);
    for width in [64, 76] {
        let wrapped: Vec<&str> =
            coded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).expect("ascii")).collect();
        let shown = masker.mask(&wrapped.join("\n"));
        assert!(shown.lines().all(|line| line == "***"), "{shown}");
    }
}

#[test]
fn wrapped_base64_is_found_wherever_the_value_stands_in_it() {
    use base64::Engine;
    let value: Vec<u8> = (0..90_u32).map(|n| u8::try_from(n * 7 % 251).expect("below 251")).collect();
    let masker = masker(&[&value]);
    for before in 0..120 {
        let text = [&vec![b'#'; before][..], &value, b"####"].concat();
        let coded = base64::engine::general_purpose::STANDARD.encode(&text);
        let lines: Vec<&str> =
            coded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("ascii")).collect();
        let shown = masker.mask(&lines.join("\n"));
        // Of a line with less than two groups of the value at its end, those few characters stay.
        let left: usize = shown.lines().map(|line| line.replace("***", "").replace("IyMj", "").len()).sum();
        assert!(left <= 24, "{before}: {shown}");
    }
}

/// All stretches that any form covers, by trying every form at every place.
fn slowly(forms: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
    let mut covered = vec![false; text.len()];
    for form in forms {
        for at in 0..text.len() {
            if text[at..].starts_with(form) {
                covered[at..at + form.len()].fill(true);
            }
        }
    }
    let mut out = Vec::new();
    for at in 0..text.len() {
        match covered[at] {
            false => out.push(text[at]),
            true if at == 0 || !covered[at - 1] => out.extend_from_slice(b"***"),
            true => {}
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_cut_the_same_is_masked(
        values in prop::collection::vec("[ab]{4,9}", 1..4),
        text in "[abc]{0,60}",
        cuts in prop::collection::vec(0_usize..9, 0..12),
    ) {
        let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let forms = forms::of_all(values.iter().copied());
        let shown = in_pieces(&masker(&values), text.as_bytes(), &cuts);
        prop_assert_eq!(shown, slowly(&forms, text.as_bytes()));
    }

    #[test]
    fn any_value_in_any_bytes_is_gone(
        value in prop::collection::vec(any::<u8>(), 8..200),
        before in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(0_usize..90, 0..12),
    ) {
        let text = [&before[..], &value, &before].concat();
        let shown = in_pieces(&masker(&[&value]), &text, &cuts);
        prop_assert!(!shown.windows(value.len()).any(|window| window == &value[..]));
    }
}
