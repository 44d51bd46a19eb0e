//! Key agreement by static keys, X25519 (RFC 7748) and ECDH over P-256, and what a licence's key is opened with after it.
//!
//! Each function that a secret passes through is kept out of its caller's frame, so that the caller can overwrite the stack
//! below itself.

use core::mem::MaybeUninit;

use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::digest::{Context, SHA256};

use crate::boundary::wipe;

/// Values of `curve` in the C header.
const X25519: u32 = 0;
const P256: u32 = 1;

const X25519_PUBLIC_BYTES: usize = 32;
/// The coordinates, without the byte that says that there are two.
const P256_PUBLIC_BYTES: usize = 64;

/// The public key of a private one; false for an `out` of another length, and for 32 bytes that are no private key.
#[inline(never)]
pub fn public(curve: u32, secret: &[u8; 32], out: &mut [u8]) -> bool {
    match (curve, out.len()) {
        (X25519, X25519_PUBLIC_BYTES) => {
            let secret = x25519_dalek::StaticSecret::from(*secret);
            out.copy_from_slice(x25519_dalek::PublicKey::from(&secret).as_bytes());
            true
        }
        (P256, P256_PUBLIC_BYTES) => {
            let Ok(secret) = p256::SecretKey::from_slice(secret) else { return false };
            out.copy_from_slice(&secret.public_key().to_sec1_point(false).as_bytes()[1..]);
            true
        }
        _ => false,
    }
}

/// Whether the bytes are a public key: on X25519 any 32 are, on P-256 a point of the curve.
pub fn is_public(curve: u32, key: &[u8]) -> bool {
    match curve {
        X25519 => key.len() == X25519_PUBLIC_BYTES,
        P256 => p256_public(key).is_some(),
        _ => false,
    }
}

/// What both sides agree on. False if the peer's key is none, or of small order, which gives everybody the same.
#[inline(never)]
pub fn agree(curve: u32, secret: &[u8; 32], peer: &[u8], shared: &mut [u8; 32]) -> bool {
    match curve {
        X25519 => {
            let Ok(peer) = <[u8; X25519_PUBLIC_BYTES]>::try_from(peer) else { return false };
            let secret = x25519_dalek::StaticSecret::from(*secret);
            let agreed = secret.diffie_hellman(&x25519_dalek::PublicKey::from(peer));
            shared.copy_from_slice(agreed.as_bytes());
            agreed.was_contributory()
        }
        P256 => {
            let Some(peer) = p256_public(peer) else { return false };
            let Ok(secret) = p256::SecretKey::from_slice(secret) else { return false };
            let agreed = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
            shared.copy_from_slice(agreed.raw_secret_bytes());
            true
        }
        _ => false,
    }
}

fn p256_public(coordinates: &[u8]) -> Option<p256::PublicKey> {
    let mut point = [0; 1 + P256_PUBLIC_BYTES];
    point[0] = 4;
    point[1..].copy_from_slice(<&[u8; P256_PUBLIC_BYTES]>::try_from(coordinates).ok()?);
    p256::PublicKey::from_sec1_point(&p256::Sec1Point::from_bytes(point).ok()?).into_option()
}

/// One round of the Concat KDF with SHA-256 (NIST SP 800-56A, RFC 7518 §4.6.2).
#[inline(never)]
pub fn derive(shared: &[u8; 32], info: &[u8], out: &mut [u8; 32]) {
    let mut hash = Context::new(&SHA256);
    hash.update(&1_u32.to_be_bytes());
    hash.update(shared);
    hash.update(info);
    out.copy_from_slice(hash.finish().as_ref());
}

/// Decrypts in place, AES-256-GCM with additional data. False on a wrong tag.
pub fn open_message(key: &[u8; 32], iv: &[u8; 12], additional: &[u8], in_out: &mut [u8], tag: &[u8; 16]) -> bool {
    let mut expanded = MaybeUninit::<LessSafeKey>::uninit();
    let opened = expand(key, &mut expanded).is_some_and(|key| {
        let nonce = Nonce::assume_unique_for_key(*iv);
        key.open_in_place_separate_tag(nonce, Aad::from(additional), Tag::from(*tag), in_out, 0..).is_ok()
    });
    wipe(&mut expanded);
    opened
}

#[inline(never)]
fn expand<'a>(key: &[u8; 32], storage: &'a mut MaybeUninit<LessSafeKey>) -> Option<&'a LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
    Some(storage.write(LessSafeKey::new(key)))
}
