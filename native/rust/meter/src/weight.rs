//! What instructions cost, in units of about 1/60 nanosecond of compiled code on a machine of today.
//!
//! The weights are upper estimates, because what they are for is that a budget bounds the time: what is cheaper in truth is
//! only counted as more than it is. Changing them changes how much fuel each policy uses.

use walrus::ir::{BinaryOp, Instr, UnaryOp};

/// Per byte that is copied or filled at once: eight bytes per nanosecond, as from memory that is in no near cache.
pub const BYTE: i64 = 8;
/// Per page (64 KiB) that the memory grows by: the system clears each and hands it over, 4 KiB at a time.
pub const PAGE: i64 = 1_500_000;
/// Of a turn of a loop, for the jump back.
pub const TURN: i64 = 16;

pub fn of(instruction: &Instr) -> i64 {
    match instruction {
        Instr::Const(_) | Instr::LocalGet(_) | Instr::LocalSet(_) | Instr::LocalTee(_) | Instr::Drop(_) => 4,
        // These are positions in the code, not steps.
        Instr::Block(_) | Instr::Loop(_) => 0,
        Instr::IfElse(_) | Instr::Br(_) | Instr::BrIf(_) => 16,
        Instr::BrTable(_) => 80,
        Instr::Load(_) | Instr::Store(_) => 20,
        Instr::GlobalGet(_) | Instr::GlobalSet(_) => 16,
        Instr::Call(_) => 120,
        Instr::CallIndirect(_) => 240,
        Instr::MemoryCopy(_) | Instr::MemoryFill(_) => 400,
        Instr::MemoryGrow(_) => 20_000,
        Instr::Binop(operation) => binary(operation.op),
        Instr::Unop(operation) => unary(operation.op),
        _ => 12,
    }
}

fn binary(operation: BinaryOp) -> i64 {
    match operation {
        BinaryOp::I32Mul | BinaryOp::I64Mul => 48,
        BinaryOp::I32DivS | BinaryOp::I32DivU | BinaryOp::I32RemS | BinaryOp::I32RemU => 400,
        BinaryOp::I64DivS | BinaryOp::I64DivU | BinaryOp::I64RemS | BinaryOp::I64RemU => 800,
        BinaryOp::F32Div | BinaryOp::F64Div => 240,
        BinaryOp::F32Add
        | BinaryOp::F32Sub
        | BinaryOp::F32Mul
        | BinaryOp::F64Add
        | BinaryOp::F64Sub
        | BinaryOp::F64Mul => 48,
        _ => 10,
    }
}

fn unary(operation: UnaryOp) -> i64 {
    match operation {
        UnaryOp::F32Sqrt | UnaryOp::F64Sqrt => 320,
        UnaryOp::I32WrapI64 | UnaryOp::I64ExtendUI32 | UnaryOp::I64ExtendSI32 | UnaryOp::I32Eqz | UnaryOp::I64Eqz => 6,
        _ => 16,
    }
}
