//! Secrets at rest: the master key, what is derived from it, and sealed values.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A text that must not be seen: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for whoever must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// The 32 bytes of the key file.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn random() -> Self {
        Self(random_bytes())
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// A stored value that this key does not open: another key file, or changed bytes.
#[derive(Debug, thiserror::Error)]
#[error(
    "open the stored value of {what}: it was not sealed with this key file; put the right key file back, or set the secret again with `tb secret set`"
)]
pub struct SealBroken {
    /// Whose value it is.
    pub what: String,
}

/// Keys for each use, derived from the master key so that no use can be turned against another.
pub struct Keyring {
    sealing: ChaCha20Poly1305,
    token_key: [u8; 32],
    external_id_key: [u8; 32],
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(<redacted>)")
    }
}

impl Keyring {
    /// Derives all keys.
    pub fn new(master: &MasterKey) -> Self {
        let derive = |label: &str| hmac_sha256(master.expose(), &[label.as_bytes()]);
        Self {
            sealing: ChaCha20Poly1305::new(&Key::from(derive("dynamirror/secrets/1"))),
            token_key: derive("dynamirror/tokens/1"),
            external_id_key: derive("dynamirror/external-id/1"),
        }
    }

    /// Seals `value`; it opens only for the same `context` and `name`. Random nonce first, then ciphertext.
    pub fn seal(&self, context: &str, name: &str, value: &Secret) -> Vec<u8> {
        let nonce: [u8; 12] = random_bytes();
        let aad = associated(context, name);
        let payload = Payload {
            msg: value.expose().as_bytes(),
            aad: &aad,
        };
        let ciphertext = self
            .sealing
            .encrypt(&Nonce::from(nonce), payload)
            .expect("a text shorter than 256 GB can be encrypted");
        [nonce.as_slice(), &ciphertext].concat()
    }

    /// Opens what [`Keyring::seal`] sealed.
    pub fn open(&self, context: &str, name: &str, sealed: &[u8]) -> Result<Secret, SealBroken> {
        let broken = || SealBroken {
            what: name.to_owned(),
        };
        let (nonce, ciphertext) = sealed.split_first_chunk::<12>().ok_or_else(broken)?;
        let aad = associated(context, name);
        let payload = Payload {
            msg: ciphertext,
            aad: &aad,
        };
        let bytes = self
            .sealing
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| broken())?;
        String::from_utf8(bytes)
            .map(Secret::new)
            .map_err(|_| broken())
    }

    /// The external id for roles of the connection `seed`: the same for every workspace of this server.
    pub fn external_id(&self, seed: &str) -> String {
        let mut id = hex(&hmac_sha256(&self.external_id_key, &[seed.as_bytes()]));
        id.truncate(32);
        id
    }

    pub(crate) fn token_signature(&self, payload: &str) -> [u8; 32] {
        hmac_sha256(&self.token_key, &[payload.as_bytes()])
    }
}

/// Context and name with the length in between, so that no two pairs read the same.
fn associated(context: &str, name: &str) -> Vec<u8> {
    let length = u64::try_from(context.len()).unwrap_or(u64::MAX);
    [&length.to_le_bytes(), context.as_bytes(), name.as_bytes()].concat()
}

fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key)
        .expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Bytes from the operating system.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let keys = Keyring::new(&MasterKey::random());
        let sealed = keys.seal("w1", "role", &Secret::new("arn:aws:iam::1:role/x"));
        assert_eq!(
            keys.open("w1", "role", &sealed).unwrap().expose(),
            "arn:aws:iam::1:role/x"
        );
        assert!(keys.open("w2", "role", &sealed).is_err());
        assert!(keys.open("w1", "other", &sealed).is_err());
        assert!(keys.open("w1r", "ole", &sealed).is_err());
        assert!(keys.open("w1", "role", &sealed[..11]).is_err());
        let other = Keyring::new(&MasterKey::random());
        assert!(other.open("w1", "role", &sealed).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "<redacted>");
    }

    #[test]
    fn an_external_id_depends_on_seed_and_installation() {
        let key = MasterKey::random();
        let keys = Keyring::new(&key);
        assert_eq!(keys.external_id("a"), Keyring::new(&key).external_id("a"));
        assert_ne!(keys.external_id("a"), keys.external_id("b"));
        assert_eq!(keys.external_id("a").len(), 32);
    }
}
