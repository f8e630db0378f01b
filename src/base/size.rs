//! Sizes as a plan spells them.

/// Bytes of `10MiB`, `4kB`, `12B`; `None` for anything else.
pub fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let scale = match &text[digits..] {
        "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_fit() {
        let read = [("12B", 12), ("4kB", 4000), ("10MiB", 10 << 20), ("0TiB", 0)];
        for (text, bytes) in read {
            assert_eq!(size_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "12", "B", "1KB", "-1B", "1.5MB", "1 B", "99999999999TiB"] {
            assert_eq!(size_bytes(text), None, "{text}");
        }
    }
}
