//! Keyed hashes of ids: equal ids stay equal, and nobody without the salt can try out who they are.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// What every hash begins with.
const PREFIX: &str = "h-";

/// Bytes of the hash that are kept: 128 bits, so that two of a billion ids are never the same.
const KEPT: usize = 16;

/// Block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// HMAC-SHA-256 (RFC 2104) of a text, its first 128 bits in hexadecimal digits after a prefix.
pub(super) fn keyed_hash(salt: &[u8], text: &str) -> String {
    format!("{PREFIX}{}", hexadecimal(&hmac(salt, text.as_bytes())[..KEPT]))
}

/// Whether a text is what [`keyed_hash`] makes.
pub(super) fn is_hash(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == 2 * KEPT && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Bytes as hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn the_hash_is_the_published_one() {
        let digits = |key: &[u8], message: &str| hexadecimal(&hmac(key, message.as_bytes()));
        assert_eq!(digits(b"Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(
            digits(&[0xaa; 131], "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_hash_is_known_again() {
        assert!(is_hash(&keyed_hash(b"salt", "alice")));
        assert!(!is_hash("h-alice"));
        assert_ne!(keyed_hash(b"salt", "alice"), keyed_hash(b"pepper", "alice"));
    }
}
