//! Lets a module begin where another run of it ended: with the memory that its export `prepare` leaves.

use anyhow::{ensure, Context, Result};
use walrus::ir::Value;
use walrus::{ConstExpr, DataId, DataKind, MemoryId, Module};

const PREPARE: &str = "prepare";
const PAGE: usize = 65_536;
/// Zeros between two stretches of data that cost less than to begin another.
const GAP: usize = 64;

/// @param image all of the memory after `prepare`
/// @param stack where in it the stack ends, which holds nothing once `prepare` has returned
pub fn begin_with(module: &mut Module, memory: MemoryId, image: &[u8], stack: usize) -> Result<()> {
    let pages = image.len() / PAGE;
    let old = module.memories.get_mut(memory);
    ensure!(image.len() % PAGE == 0 && pages as u64 >= old.initial, "the image is not one of its memory");
    old.initial = pages as u64;

    let segments: Vec<DataId> = module.data.iter().map(|data| data.id()).collect();
    for id in segments {
        module.memories.get_mut(memory).data_segments.remove(&id);
        module.data.delete(id);
    }
    for (start, end) in stretches(image, stack) {
        let offset = ConstExpr::Value(Value::I32(i32::try_from(start)?));
        let id = module.data.add(DataKind::Active { memory, offset }, image[start..end].to_vec());
        module.memories.get_mut(memory).data_segments.insert(id);
    }
    module.exports.remove(PREPARE).context("it has no prepare")?;
    // What only `prepare` used.
    walrus::passes::gc::run(module);
    Ok(())
}

/// Start and end of each stretch of the image, from `from` on, that is not all zeros.
fn stretches(image: &[u8], from: usize) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (place, _) in image.iter().enumerate().skip(from).filter(|&(_, &byte)| byte != 0) {
        match found.last_mut() {
            Some((_, end)) if place - *end < GAP => *end = place + 1,
            _ => found.push((place, place + 1)),
        }
    }
    found
}
