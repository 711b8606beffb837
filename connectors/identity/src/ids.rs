//! Random identities, and the one spelling of bytes that the crate uses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use subtle::ConstantTimeEq;

/// 32 signs, so that five random bits are one of them without bias. No letter looks like a digit.
const SIGNS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes of a long identity.
pub(crate) const ID_BYTES: usize = 16;

pub(crate) fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A user's or a family's identity: 128 random bits.
pub(crate) fn long(rng: &mut impl CryptoRng) -> SmolStr {
    base64(&random::<ID_BYTES>(rng)).into()
}

/// A short identity: 60 random bits in twelve signs.
pub(crate) fn short(rng: &mut impl CryptoRng) -> SmolStr {
    signs::<12>(rng).into()
}

/// Lower-case letters and digits, of five random bits each.
pub(crate) fn signs<const N: usize>(rng: &mut impl CryptoRng) -> String {
    random::<N>(rng).iter().map(|byte| char::from(SIGNS[usize::from(byte & 31)])).collect()
}

/// URL-safe base64 without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Whether both are equal, in a time that does not tell where they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
