//! Rewrites a finished WebAssembly module so that it meters itself: `meter IN.wasm MEMORY OUT.wasm`, where MEMORY is a file of
//! what its memory holds after a call of `prepare`, with which the result begins (`image.rs`).
//!
//! The result exports four globals more:
//!
//! - `fuel` (i64), set by the caller: what the module may still do. Each run of instructions takes its weight off (`weight.rs`)
//!   before it is executed; below zero the module traps.
//! - `stack` (i32): bytes of native stack that calls may still take. Functions that can come to call themselves take the size
//!   of their frame off while they run; below zero the module traps, at the same depth on every engine and machine.
//! - `memory_denied` (i32): 1 after the memory could not grow.
//! - `shadow_stack` (i32): the stack pointer in linear memory; negative once that stack has overflowed.

mod calls;
mod code;
mod fuel;
mod image;
mod stack;
mod weight;

use std::process::ExitCode;

use anyhow::{Context, Result};
use walrus::ir::Value;
use walrus::{ConstExpr, FunctionId, GlobalId, GlobalKind, MemoryId, Module, ValType};

/// What the code that is added uses.
pub struct Globals {
    pub memory: MemoryId,
    pub fuel: GlobalId,
    pub stack: GlobalId,
    pub memory_denied: GlobalId,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, from, memory, to] = arguments.as_slice() else {
        eprintln!("usage: meter IN.wasm MEMORY OUT.wasm");
        return ExitCode::FAILURE;
    };
    match Module::from_file(from).and_then(|module| meter(module, &std::fs::read(memory)?)?.emit_wasm_file(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{from}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn meter(mut module: Module, image: &[u8]) -> Result<Module> {
    let (shadow_stack, stack_size) = stack_pointer(&module).context("it has not exactly one stack pointer")?;
    let memory = module.memories.iter().next().context("it has no memory")?.id();
    image::begin_with(&mut module, memory, image, stack_size)?;
    let mut add = |name: &str, kind, value| {
        let global = module.globals.add_local(kind, true, false, ConstExpr::Value(value));
        module.exports.add(name, global);
        global
    };
    let globals = Globals {
        memory,
        fuel: add("fuel", ValType::I64, Value::I64(0)),
        stack: add("stack", ValType::I32, Value::I32(0)),
        memory_denied: add("memory_denied", ValType::I32, Value::I32(0)),
    };
    module.exports.add("shadow_stack", shadow_stack);

    let recursive = calls::recursive(&module);
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for id in functions {
        let length = module.locals.add(ValType::I32);
        let result = module.types.results(module.funcs.get(id).ty()).to_vec();
        let function = module.funcs.get_mut(id).kind.unwrap_local_mut();
        fuel::meter(function, &globals, length);
        if recursive.contains(&id) {
            stack::meter(function, &globals, &result);
        }
    }
    Ok(module)
}

/// The only mutable global that LLVM makes, and where it points at first: the stack is what lies below.
fn stack_pointer(module: &Module) -> Option<(GlobalId, usize)> {
    let mut found = module.globals.iter().filter_map(|global| match global.kind {
        GlobalKind::Local(ConstExpr::Value(Value::I32(start))) if global.mutable => Some((global.id(), start)),
        _ => None,
    });
    let (pointer, start) = found.next()?;
    found.next().is_none().then_some((pointer, usize::try_from(start).ok()?))
}
