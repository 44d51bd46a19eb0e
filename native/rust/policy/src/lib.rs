//! A Rego engine that can reach nothing: no imports, no clock, no randomness, capped memory and stack.
//!
//! The ABI is three functions over JSON text in linear memory. The caller makes one instance of the module per
//! evaluation and drops it whole, so nothing passes from one policy to the next, and a trap (a panic, a stack overflow,
//! memory exhausted) ends that evaluation alone.

mod policy;
mod report;
mod time;

/// Reserves `length` bytes for the caller to write a request into.
#[no_mangle]
pub extern "C" fn alloc(length: usize) -> *mut u8 {
    Box::into_raw(vec![0u8; length].into_boxed_slice()).cast()
}

/// Gives back memory from `alloc` or `evaluate`.
///
/// # Safety
/// `pointer` and `length` must be those of one earlier `alloc` or `evaluate`, not yet given back.
#[no_mangle]
pub unsafe extern "C" fn free(pointer: *mut u8, length: usize) {
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(pointer, length)) });
}

/// Answers the request (JSON, see [`policy::Request`]) at `pointer`, which it takes over, with JSON (see
/// [`policy::Answer`]): address in the upper 32 bits, length in the lower.
///
/// # Safety
/// `pointer` and `length` must be those of one earlier `alloc`, not yet given back.
#[no_mangle]
pub unsafe extern "C" fn evaluate(pointer: *mut u8, length: usize) -> u64 {
    let request = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(pointer, length)) };
    let answer = policy::answer(&request).into_boxed_slice();
    let length = answer.len();
    ((Box::into_raw(answer).cast::<u8>() as usize as u64) << 32) | length as u64
}
