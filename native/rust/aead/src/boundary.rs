//! What every function at the C boundary needs: no panic passes, raw pointers become slices, secrets leave no trace.

use core::mem::MaybeUninit;
use core::{ptr, slice};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic, which may not unwind into C, is a failure.
pub fn guard(work: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(false)
}

/// # Safety
/// `data` is readable for `length`; it may be null if `length` is 0.
pub unsafe fn bytes<'a>(data: *const u8, length: usize) -> &'a [u8] {
    if length == 0 { &[] } else { unsafe { slice::from_raw_parts(data, length) } }
}

/// # Safety
/// `data` is writable for `length`, and initialised; it may be null if `length` is 0.
pub unsafe fn bytes_mut<'a>(data: *mut u8, length: usize) -> &'a mut [u8] {
    if length == 0 { &mut [] } else { unsafe { slice::from_raw_parts_mut(data, length) } }
}

/// Overwrites a value that is not used again, in a way that is not optimised out.
pub fn wipe<T>(value: &mut MaybeUninit<T>) {
    unsafe { ptr::write_bytes(value.as_mut_ptr(), 0, 1) };
    core::hint::black_box(value);
}

/// Overwrites the stack below the caller, where functions that it called before may have left copies of a secret: Rust
/// moves values without wiping where they were.
#[inline(never)]
pub fn scrub_stack<const BYTES: usize>() {
    wipe(&mut MaybeUninit::<[u8; BYTES]>::uninit());
}
