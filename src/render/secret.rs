//! A secret's value while it is in memory.
//!
//! It has no `Display` and no `Serialize`, cannot be cloned, and shows as `***` in `Debug`: whoever wants the bytes
//! says so by [`Secret::expose`], and every such place can be found.

use std::fmt;

use zeroize::Zeroizing;

/// A secret's value. Its memory is overwritten when it is dropped.
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Keeps a copy of `bytes` in memory of exactly their size, and overwrites the original: shrinking a vector in
    /// place could leave a copy behind that nobody overwrites.
    pub fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(Zeroizing::new(bytes.as_slice().into()))
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, when they are UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// What stands in the place of a secret wherever people look.
pub const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::new(b"hunter2-hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose_text(), Some("hunter2-hunter2"));
    }
}
