//! Versions of what is linked in, checked against the pins in Cargo.toml at compile time.

use core::ffi::CStr;

pub const RING: &CStr = c"0.17.14";
pub const BLAKE3: &CStr = c"1.8.7";

const MANIFEST: &[u8] = include_bytes!("../Cargo.toml");

const _: () = assert!(contains(MANIFEST, b"ring = \"=0.17.14\""));
const _: () = assert!(contains(MANIFEST, b"blake3 = { version = \"=1.8.7\""));

const fn contains(text: &[u8], part: &[u8]) -> bool {
    let mut start = 0;
    while start + part.len() <= text.len() {
        let mut i = 0;
        while i < part.len() && text[start + i] == part[i] {
            i += 1;
        }
        if i == part.len() {
            return true;
        }
        start += 1;
    }
    false
}
