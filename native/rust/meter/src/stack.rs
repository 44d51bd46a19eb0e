//! Counts the native stack that recursion takes.

use walrus::ir::{BinaryOp, Block, Br, Instr, InstrSeqId, Value};
use walrus::{LocalFunction, LocalId, ValType};

use crate::{code, Globals};

/// Of each frame, whatever the function is: return address, saved registers, the engine's own fields, and values on their way.
const FRAME: i32 = 128;
/// Of each local variable: compilers that translate quickly give each a place of its own.
const LOCAL: i32 = 8;

/// Takes the size of the frame off while the function runs: `f() { … }` becomes `f() { enter; block { … } leave; }`, and
/// whatever returned goes to the end of the block.
pub fn meter(function: &mut LocalFunction, globals: &Globals, results: &[ValType]) {
    let entry = function.entry_block();
    let frame = code::constant(Value::I32(FRAME + LOCAL * count_locals(function)));
    let body = function.builder_mut().dangling_instr_seq(results.first().copied()).id();
    retarget(function, entry, body);
    let instructions = std::mem::take(&mut function.block_mut(entry).instrs);
    function.block_mut(body).instrs = instructions;

    let mut outer = code::subtract(globals.stack, vec![frame.clone()], BinaryOp::I32Sub);
    outer.extend([code::get(globals.stack), code::constant(Value::I32(0)), code::binary(BinaryOp::I32LtS)]);
    outer.push(code::trap_if(function));
    outer.push(Instr::Block(Block { seq: body }));
    outer.extend(code::subtract(globals.stack, vec![frame], BinaryOp::I32Add));
    code::insert(function, entry, 0, outer);
}

/// Makes all branches to `from`, and returns, branches to `to`.
fn retarget(function: &mut LocalFunction, from: InstrSeqId, to: InstrSeqId) {
    let turn = |target: &mut InstrSeqId| {
        if *target == from {
            *target = to;
        }
    };
    let mut sequences = vec![from];
    while let Some(sequence) = sequences.pop() {
        for (instruction, _) in &mut function.block_mut(sequence).instrs {
            match instruction {
                Instr::Block(block) => sequences.push(block.seq),
                Instr::Loop(block) => sequences.push(block.seq),
                Instr::IfElse(choice) => sequences.extend([choice.consequent, choice.alternative]),
                Instr::Br(branch) => turn(&mut branch.block),
                Instr::BrIf(branch) => turn(&mut branch.block),
                Instr::BrTable(table) => {
                    table.blocks.iter_mut().for_each(turn);
                    turn(&mut table.default);
                }
                Instr::Return(_) => *instruction = Instr::Br(Br { block: to }),
                _ => {}
            }
        }
    }
}

fn count_locals(function: &LocalFunction) -> i32 {
    let mut locals: std::collections::HashSet<LocalId> = function.args.iter().copied().collect();
    let mut sequences = vec![function.entry_block()];
    while let Some(sequence) = sequences.pop() {
        for (instruction, _) in &function.block(sequence).instrs {
            match instruction {
                Instr::Block(block) => sequences.push(block.seq),
                Instr::Loop(block) => sequences.push(block.seq),
                Instr::IfElse(choice) => sequences.extend([choice.consequent, choice.alternative]),
                Instr::LocalSet(set) => {
                    locals.insert(set.local);
                }
                Instr::LocalTee(tee) => {
                    locals.insert(tee.local);
                }
                Instr::LocalGet(get) => {
                    locals.insert(get.local);
                }
                _ => {}
            }
        }
    }
    locals.len() as i32
}
