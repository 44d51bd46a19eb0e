//! ring, BLAKE3 and key agreement behind the C interface of `include/cryptotensors_aead.h`, where each function is documented.
//!
//! The additional data of every AEAD of the format is empty (FORMAT.md §2).

mod aead;
mod agreement;
mod boundary;
mod version;

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use boundary::{bytes, bytes_mut, guard, scrub_stack, wipe};

/// More than the tables and the intermediate points of an agreement take.
const AGREEMENT_STACK: usize = 32 * 1024;

/// # Safety
/// `storage` is aligned and large enough for an expanded key; `key` is readable for `key_length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_aead_key_init(
    storage: *mut c_void,
    algorithm: u32,
    key: *const u8,
    key_length: usize,
) -> bool {
    guard(|| {
        let done = unsafe { aead::key_init(storage.cast(), algorithm, bytes(key, key_length)) };
        scrub_stack::<4096>();
        done
    })
}

/// # Safety
/// `key` was initialised; the pointers are valid for their lengths; `input` is `output` or apart from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_aead_open(
    key: *const c_void,
    iv: *const [u8; 12],
    input: *const u8,
    output: *mut u8,
    length: usize,
    tag: *const [u8; 16],
) -> bool {
    guard(|| unsafe { aead::open(&*key.cast(), &*iv, aead::place(input, output, length), &*tag) })
}

/// # Safety
/// `key` was initialised; the pointers are valid for their lengths; `input` is `output` or apart from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_aead_seal(
    key: *const c_void,
    iv: *const [u8; 12],
    input: *const u8,
    output: *mut u8,
    length: usize,
    tag: *mut [u8; 16],
) -> bool {
    guard(|| unsafe { aead::seal(&*key.cast(), &*iv, aead::place(input, output, length), &mut *tag) })
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_ed25519_public(seed: *const [u8; 32], out: *mut [u8; 32]) -> bool {
    let (seed, out) = unsafe { (&*seed, &mut *out) };
    guard(|| with_key_pair(seed, |pair| out.copy_from_slice(pair.public_key().as_ref())))
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_ed25519_sign(
    seed: *const [u8; 32],
    message: *const u8,
    length: usize,
    out: *mut [u8; 64],
) -> bool {
    let (seed, message, out) = unsafe { (&*seed, bytes(message, length), &mut *out) };
    guard(|| with_key_pair(seed, |pair| out.copy_from_slice(pair.sign(message).as_ref())))
}

/// Expands the seed, lends the key pair, and leaves no copy of it behind.
fn with_key_pair(seed: &[u8; 32], work: impl FnOnce(&Ed25519KeyPair)) -> bool {
    let mut pair = MaybeUninit::<Ed25519KeyPair>::uninit();
    let done = Ed25519KeyPair::from_seed_unchecked(seed).map(|expanded| work(pair.write(expanded)));
    wipe(&mut pair);
    scrub_stack::<8192>();
    done.is_ok()
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_ed25519_verify(
    public_key: *const [u8; 32],
    message: *const u8,
    length: usize,
    signature: *const [u8; 64],
) -> bool {
    let (public_key, message, signature) = unsafe { (&*public_key, bytes(message, length), &*signature) };
    guard(|| UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok())
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_agreement_public(
    curve: u32,
    secret: *const [u8; 32],
    out: *mut u8,
    out_length: usize,
) -> bool {
    let (secret, out) = unsafe { (&*secret, bytes_mut(out, out_length)) };
    guard(|| {
        let done = agreement::public(curve, secret, out);
        scrub_stack::<AGREEMENT_STACK>();
        done
    })
}

/// # Safety
/// `key` is readable for `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_agreement_is_public(curve: u32, key: *const u8, length: usize) -> bool {
    let key = unsafe { bytes(key, length) };
    guard(|| agreement::is_public(curve, key))
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_agreement_key(
    curve: u32,
    secret: *const [u8; 32],
    peer: *const u8,
    peer_length: usize,
    info: *const u8,
    info_length: usize,
    out: *mut [u8; 32],
) -> bool {
    let (secret, peer, info, out) = unsafe { (&*secret, bytes(peer, peer_length), bytes(info, info_length), &mut *out) };
    guard(|| {
        let mut shared = MaybeUninit::new([0; 32]);
        // Initialised just above.
        let agreed = unsafe { shared.assume_init_mut() };
        let done = agreement::agree(curve, secret, peer, agreed);
        if done {
            agreement::derive(agreed, info, out);
        }
        wipe(&mut shared);
        scrub_stack::<AGREEMENT_STACK>();
        done
    })
}

/// # Safety
/// The pointers are valid for their lengths; `input` is `output` or apart from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_message_open(
    key: *const [u8; 32],
    iv: *const [u8; 12],
    additional: *const u8,
    additional_length: usize,
    input: *const u8,
    output: *mut u8,
    length: usize,
    tag: *const [u8; 16],
) -> bool {
    let (key, iv, tag) = unsafe { (&*key, &*iv, &*tag) };
    guard(|| {
        let (additional, in_out) = unsafe { (bytes(additional, additional_length), aead::place(input, output, length)) };
        let done = agreement::open_message(key, iv, additional, in_out, tag);
        scrub_stack::<4096>();
        done
    })
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_sha256(message: *const u8, length: usize, out: *mut [u8; 32]) -> bool {
    let (message, out) = unsafe { (bytes(message, length), &mut *out) };
    guard(|| {
        out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, message).as_ref());
        true
    })
}

/// # Safety
/// The pointers are valid for their lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_blake3(message: *const u8, length: usize, out: *mut [u8; 32]) -> bool {
    let (message, out) = unsafe { (bytes(message, length), &mut *out) };
    guard(|| {
        *out = *blake3::hash(message).as_bytes();
        true
    })
}

/// # Safety
/// `out` is writable for `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cryptotensors_random(out: *mut u8, length: usize) -> bool {
    let out = unsafe { bytes_mut(out, length) };
    guard(|| SystemRandom::new().fill(out).is_ok())
}

#[unsafe(no_mangle)]
pub extern "C" fn cryptotensors_ring_version() -> *const c_char {
    version::RING.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn cryptotensors_blake3_version() -> *const c_char {
    version::BLAKE3.as_ptr()
}
