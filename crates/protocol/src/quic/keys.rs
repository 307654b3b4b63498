//! The keys of Initial packets (RFC 9001, sections 5.2 to 5.4; RFC 9369, section 3.3).

use aes::Aes128;
use aes::cipher::BlockCipherEncrypt as _;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use hkdf::Hkdf;
use sha2::Sha256;

use super::Version;

/// Version 1, and the drafts from 33 on.
const SALT_1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
const SALT_2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
    0xf9, 0xbd, 0x2e, 0xd9,
];
/// Drafts 29 to 32.
const SALT_DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0,
    0x43, 0x90, 0xa8, 0x99,
];
/// Drafts 23 to 28.
const SALT_DRAFT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65,
    0xbe, 0xf9, 0xf5, 0x02,
];

/// The length of the sample that header protection uses.
pub(super) const SAMPLE: usize = 16;

/// The keys of both sides.
pub(super) struct InitialKeys {
    pub(super) client: Keys,
    pub(super) server: Keys,
}

/// The keys of the packets of one side.
pub(super) struct Keys {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; 12],
    pub(super) header: [u8; 16],
}

impl InitialKeys {
    /// Derives the keys from the client's first destination connection identifier.
    pub(super) fn derive(version: Version, destination_id: &[u8]) -> Self {
        let salt = match version.draft() {
            Some(..=28) => SALT_DRAFT_23,
            Some(..=32) => SALT_DRAFT_29,
            None if version == Version::V2 => SALT_2,
            _ => SALT_1,
        };
        let initial = Hkdf::<Sha256>::new(Some(&salt), destination_id);
        let keys = |label: &str| {
            let secret: [u8; 32] = expand(&initial, label);
            let secret = Hkdf::<Sha256>::from_prk(&secret).expect("a hash is a key");
            let [key, iv, header] = if version == Version::V2 {
                ["quicv2 key", "quicv2 iv", "quicv2 hp"]
            } else {
                ["quic key", "quic iv", "quic hp"]
            };
            Keys {
                key: expand(&secret, key),
                iv: expand(&secret, iv),
                header: expand(&secret, header),
            }
        };
        Self { client: keys("client in"), server: keys("server in") }
    }
}

impl Keys {
    /// The mask of the first byte and of the packet number.
    pub(super) fn mask(&self, sample: [u8; SAMPLE]) -> [u8; 5] {
        let mut block = sample.into();
        Aes128::new(&self.header.into()).encrypt_block(&mut block);
        let block: [u8; 16] = block.into();
        [block[0], block[1], block[2], block[3], block[4]]
    }

    /// Decrypts a payload with its tag. `header` is the header without protection.
    pub(super) fn open(&self, number: u64, header: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: payload, aad: header };
        Aes128Gcm::new(&self.key.into()).decrypt(&self.nonce(number).into(), payload).ok()
    }

    pub(super) fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

/// HKDF-Expand-Label (RFC 8446, section 7.1) without a context.
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> [u8; N] {
    let mut info = vec![0, N as u8, 6 + label.len() as u8];
    info.extend(b"tls13 ");
    info.extend(label.as_bytes());
    info.push(0);
    let mut output = [0; N];
    secret.expand(&info, &mut output).expect("shorter than 255 hashes");
    output
}
