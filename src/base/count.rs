//! Counts as people read them.

/// `1,200,000`.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 stage`, `1,200 stages`.
pub fn plural(count: u64, one: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{} {one}{end}", number(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        assert_eq!((plural(0, "stage"), plural(1, "stage")), ("0 stages".to_owned(), "1 stage".to_owned()));
        assert_eq!(plural(1_200_000, "shard"), "1,200,000 shards");
        assert_eq!((number(999), number(1000)), ("999".to_owned(), "1,000".to_owned()));
    }
}
