//! Why a panic ended the instance, for the caller to tell a policy that asks for too much from a fault of the engine. What is
//! told is one of a few causes, never a panic's words: they could hold values.

use std::panic::{set_hook, PanicHookInfo};
use std::sync::atomic::{AtomicU32, Ordering};

/// There was none.
const NONE: u32 = 0;
/// More memory was asked for in one piece than there can be.
const MEMORY: u32 = 1;
/// The format of `sprintf` has a width or a precision that is no number, or too large a one.
const FORMAT: u32 = 2;
/// Anything else.
const FAULT: u32 = 3;

static CAUSE: AtomicU32 = AtomicU32::new(NONE);

pub fn watch() {
    set_hook(Box::new(|panic| CAUSE.store(cause(panic), Ordering::Relaxed)));
}

pub fn last() -> u32 {
    CAUSE.load(Ordering::Relaxed)
}

fn cause(panic: &PanicHookInfo) -> u32 {
    match panic.payload_as_str() {
        // Of Rust's collections.
        Some("capacity overflow") => MEMORY,
        // Of Rust's formatting, which takes 65,535 digits at most; and of regorus, for digits that are not those of ASCII.
        Some("Formatting argument out of range" | "could not get digit from char") => FORMAT,
        _ => FAULT,
    }
}
