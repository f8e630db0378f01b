//! Signatures of people: ed25519 (RFC 8032), by `ring`, which TLS brings along.
//!
//! A public key is written `ed25519:` and base64 of its 32 bytes, a secret one `ed25519-secret:` and base64 of its seed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

/// What a public key begins with.
const PUBLIC: &str = "ed25519:";
/// What a secret key begins with.
const SECRET: &str = "ed25519-secret:";

/// Proves who signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// Signs. It has no Display and no Serialize; [`SecretKey::text`] is for the one file that keeps it.
pub struct SecretKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl PublicKey {
    /// Whether `signature` (base64) is of this text by the owner of this key.
    pub fn has_signed(&self, text: &[u8], signature: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(text, &bytes).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(SECRET) {
            return Err("is a secret key: the public one is what `engine keys show FILE` prints".to_owned());
        }
        let base64 = text.strip_prefix(PUBLIC).ok_or_else(|| format!("does not begin with `{PUBLIC}`"))?;
        Ok(Self(*seed(base64)?))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SecretKey {
    /// The key of these 32 bytes, which nobody may be able to guess.
    pub fn of(seed: Zeroizing<[u8; 32]>) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).expect("any 32 bytes are a seed");
        Self { seed, pair }
    }

    /// Reads the text of a key file: lines that begin with `#` are left out.
    ///
    /// # Errors
    /// It holds no secret key.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or_else(|| "is empty".to_owned())?;
        if lines.next().is_some() {
            return Err("holds more than one line".to_owned());
        }
        let base64 =
            line.strip_prefix(SECRET).ok_or_else(|| format!("holds no line that begins with `{SECRET}`"))?;
        seed(base64).map(Self::of)
    }

    /// What its file holds.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SECRET}{}\n", STANDARD.encode(*self.seed)))
    }

    /// What others know it by.
    pub fn public(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref();
        PublicKey(bytes.try_into().expect("a public key of ed25519 has 32 bytes"))
    }

    /// The signature of `text`, in base64.
    pub fn sign(&self, text: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(text))
    }
}

fn seed(base64: &str) -> Result<Zeroizing<[u8; 32]>, String> {
    let bytes = STANDARD.decode(base64.trim()).map(Zeroizing::new).map_err(|_| "is not base64".to_owned())?;
    let seed = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| format!("has {} bytes, not 32", bytes.len()))?;
    Ok(Zeroizing::new(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_standard_s_own_example() {
        let hex = |text: &str| -> Vec<u8> {
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
            (0..text.len()).step_by(2).map(byte).collect()
        };
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let key = SecretKey::read(&format!("# a comment\n{SECRET}{}\n", STANDARD.encode(seed))).expect("a key");
        assert_eq!(key.public().0.to_vec(), public);
        assert_eq!(STANDARD.decode(key.sign(&[0x72])).expect("base64"), signature);
    }

    #[test]
    fn only_its_owner_signs_and_only_what_was_signed_holds() {
        let [ann, bob] = [1, 2].map(|byte| SecretKey::of(Zeroizing::new([byte; 32])));
        let signature = ann.sign(b"yes");
        assert!(ann.public().has_signed(b"yes", &signature));
        assert!(!ann.public().has_signed(b"no", &signature));
        assert!(!bob.public().has_signed(b"yes", &signature));
        assert!(!ann.public().has_signed(b"yes", "nonsense"));
        let again = SecretKey::read(&ann.text()).expect("what was written is read");
        assert_eq!(again.public(), ann.public());
        assert_eq!(ann.public().to_string().parse(), Ok(ann.public()));
    }

    #[test]
    fn what_is_no_key_is_named() {
        for (text, why) in [
            ("", "does not begin with"),
            ("ed25519:!", "is not base64"),
            ("ed25519:AAAA", "has 3 bytes, not 32"),
            ("ed25519-secret:AAAA", "is a secret key"),
        ] {
            let said = text.parse::<PublicKey>().expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
        for (text, why) in [("# nothing\n", "is empty"), ("x\ny\n", "more than one line"), ("x", "holds no line")]
        {
            assert!(SecretKey::read(text).err().is_some_and(|said| said.contains(why)), "{text}");
        }
    }
}
