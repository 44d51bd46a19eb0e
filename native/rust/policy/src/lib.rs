//! A Rego engine that can reach nothing: no imports, no clock, no randomness, capped memory and stack, and fuel for a
//! number of steps that its caller decides (`native/rust/meter` adds the counting to the finished module).
//!
//! The ABI is functions over JSON text in linear memory. The caller makes one instance of the module per policy, calls
//! `read`, `compile`, whichever of `analyse` and `check_calls` it wants, then `ask`, and drops the instance whole: nothing
//! passes from one policy to the next, and a trap (fuel, memory or stack used up, a panic) ends that instance alone.
//! They are steps of their own so that the caller can give fuel for each.
//!
//! The finished module begins where `prepare` ends: the build calls it once and keeps the memory as it is then, in place
//! of the function (`native/rust/meter`).

use std::cell::RefCell;

use crate::policy::{Refusal, Session};

mod calls;
mod panics;
mod policy;
mod report;
mod time;

thread_local! {
    /// What `read` was given. There is one thread.
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// Does what is the same for all questions. Part of the build: the finished module does not export it.
#[no_mangle]
pub extern "C" fn prepare() {
    panics::watch();
    policy::prepare();
}

/// Reserves `length` bytes for the caller to write a request into.
#[no_mangle]
pub extern "C" fn alloc(length: usize) -> *mut u8 {
    Box::into_raw(vec![0u8; length].into_boxed_slice()).cast()
}

/// Takes over the request (JSON, see [`policy::Request`]) at `pointer`.
///
/// Like all functions from here on, it returns 0, or JSON (see [`policy::Answer`]): address in the upper 32 bits, length
/// in the lower.
///
/// # Safety
/// `pointer` and `length` must be those of one earlier `alloc`, not yet given to `read`.
#[no_mangle]
pub unsafe extern "C" fn read(pointer: *mut u8, length: usize) -> u64 {
    let request = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(pointer, length)) };
    step(|session| {
        *session = Some(Session::read(&request)?);
        Ok(())
    })
}

/// Parses the policy.
#[no_mangle]
pub extern "C" fn compile() -> u64 {
    step(|session| opened(session)?.compile())
}

/// Analyses all of the policy, so that whatever is wrong with it is known before anything is asked.
#[no_mangle]
pub extern "C" fn analyse() -> u64 {
    step(|session| opened(session)?.analyse())
}

/// Looks at each call in the policy, also where none of them would come to be made: the function must exist, and take as
/// many arguments.
#[no_mangle]
pub extern "C" fn check_calls() -> u64 {
    step(|session| opened(session)?.check_calls())
}

/// Asks the rule; about the tensor of that index if the request has tensors.
#[no_mangle]
pub extern "C" fn ask(index: usize) -> u64 {
    SESSION.with_borrow_mut(|session| pack(opened(session).and_then(|session| session.ask(index))))
}

/// After a trap: why the engine panicked, if it did (see [`panics`]).
#[no_mangle]
pub extern "C" fn panicked() -> u32 {
    panics::last()
}

fn step(work: impl FnOnce(&mut Option<Session>) -> Result<(), Refusal>) -> u64 {
    SESSION.with_borrow_mut(|session| match work(session) {
        Ok(()) => 0,
        Err(refusal) => pack(Err(refusal)),
    })
}

fn opened(session: &mut Option<Session>) -> Result<&mut Session, Refusal> {
    session.as_mut().ok_or_else(|| Refusal::new(policy::Kind::Error, "there is no request"))
}

fn pack(outcome: Result<bool, Refusal>) -> u64 {
    let answer = policy::encode(outcome).into_boxed_slice();
    let length = answer.len();
    ((Box::into_raw(answer).cast::<u8>() as usize as u64) << 32) | length as u64
}
