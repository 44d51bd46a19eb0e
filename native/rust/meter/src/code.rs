//! Instructions, by short names.

use walrus::ir::{
    BinaryOp, Binop, Const, GlobalGet, GlobalSet, IfElse, Instr, InstrLocId, InstrSeqId, LocalGet, LocalTee,
    MemorySize, UnaryOp, Unop, Unreachable, Value,
};
use walrus::{GlobalId, LocalFunction, LocalId, MemoryId};

pub fn insert(function: &mut LocalFunction, sequence: InstrSeqId, index: usize, code: Vec<Instr>) {
    let code = code.into_iter().map(|instruction| (instruction, InstrLocId::default()));
    function.block_mut(sequence).instrs.splice(index..index, code);
}

/// `global = global - amount` (or whichever operation it is).
pub fn subtract(global: GlobalId, amount: Vec<Instr>, operation: BinaryOp) -> Vec<Instr> {
    let mut code = vec![get(global)];
    code.extend(amount);
    code.extend([binary(operation), set(global)]);
    code
}

pub fn trap_if(function: &mut LocalFunction) -> Instr {
    if_else(function, vec![Instr::Unreachable(Unreachable {})], vec![])
}

pub fn if_else(function: &mut LocalFunction, consequent: Vec<Instr>, alternative: Vec<Instr>) -> Instr {
    let [consequent, alternative] = [consequent, alternative].map(|code| {
        let sequence = function.builder_mut().dangling_instr_seq(None).id();
        insert(function, sequence, 0, code);
        sequence
    });
    Instr::IfElse(IfElse { consequent, alternative })
}

pub fn constant(value: Value) -> Instr {
    Instr::Const(Const { value })
}

pub fn get(global: GlobalId) -> Instr {
    Instr::GlobalGet(GlobalGet { global })
}

pub fn set(global: GlobalId) -> Instr {
    Instr::GlobalSet(GlobalSet { global })
}

pub fn local_get(local: LocalId) -> Instr {
    Instr::LocalGet(LocalGet { local })
}

pub fn local_tee(local: LocalId) -> Instr {
    Instr::LocalTee(LocalTee { local })
}

pub fn memory_size(memory: MemoryId) -> Instr {
    Instr::MemorySize(MemorySize { memory })
}

pub fn binary(op: BinaryOp) -> Instr {
    Instr::Binop(Binop { op })
}

pub fn unary(op: UnaryOp) -> Instr {
    Instr::Unop(Unop { op })
}
