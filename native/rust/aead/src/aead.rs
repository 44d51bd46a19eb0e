//! AEADs over keys in caller's storage.

use core::{mem, ptr};

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};

use crate::boundary::bytes_mut;

/// `CRYPTOTENSORS_AEAD_KEY_BYTES` and `CRYPTOTENSORS_AEAD_KEY_ALIGN` of the C header.
const KEY_BYTES: usize = 640;
const KEY_ALIGN: usize = 64;

const _: () = assert!(mem::size_of::<LessSafeKey>() <= KEY_BYTES);
const _: () = assert!(mem::align_of::<LessSafeKey>() <= KEY_ALIGN);
// Wiping the storage is all that it takes to destroy a key.
const _: () = assert!(!mem::needs_drop::<LessSafeKey>());

/// # Safety
/// `storage` is writable for `KEY_BYTES` and aligned to `KEY_ALIGN`.
#[inline(never)]
pub unsafe fn key_init(storage: *mut LessSafeKey, algorithm: u32, key: &[u8]) -> bool {
    let algorithm = match algorithm {
        0 => &AES_128_GCM,
        1 => &AES_256_GCM,
        2 => &CHACHA20_POLY1305,
        _ => return false,
    };
    let Ok(key) = UnboundKey::new(algorithm, key) else { return false };
    unsafe { storage.write(LessSafeKey::new(key)) };
    true
}

/// The output, holding the input: what ring works on in place.
///
/// # Safety
/// The pointers are valid for `length`; `input` is `output` or apart from it.
pub unsafe fn place<'a>(input: *const u8, output: *mut u8, length: usize) -> &'a mut [u8] {
    if !ptr::eq(input, output) && length > 0 {
        unsafe { ptr::copy_nonoverlapping(input, output, length) };
    }
    unsafe { bytes_mut(output, length) }
}

pub fn open(key: &LessSafeKey, iv: &[u8; 12], in_out: &mut [u8], tag: &[u8; 16]) -> bool {
    let nonce = Nonce::assume_unique_for_key(*iv);
    key.open_in_place_separate_tag(nonce, Aad::empty(), Tag::from(*tag), in_out, 0..).is_ok()
}

pub fn seal(key: &LessSafeKey, iv: &[u8; 12], in_out: &mut [u8], tag: &mut [u8; 16]) -> bool {
    let nonce = Nonce::assume_unique_for_key(*iv);
    match key.seal_in_place_separate_tag(nonce, Aad::empty(), in_out) {
        Ok(computed) => {
            tag.copy_from_slice(computed.as_ref());
            true
        }
        Err(_) => false,
    }
}
