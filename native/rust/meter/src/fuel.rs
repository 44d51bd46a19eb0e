//! Counts steps.
//!
//! A *run* is a stretch of instructions that are executed together: it ends where the code can branch away. Its weight is
//! taken off where it begins. Whether anything is left is looked at where a function begins and where a loop turns (nothing
//! goes on for long without), and before operations that work on as many bytes as they are told.

use walrus::ir::{BinaryOp, Instr, InstrSeqId, UnaryOp, Value};
use walrus::{LocalFunction, LocalId};

use crate::code::{self, insert};
use crate::{weight, Globals};

/// A run that weighs less is counted with the one before it, so that counting does not cost more than what is counted: to
/// compile it, too, which is most of what the first question of a process takes.
const SMALL: i64 = 400;
/// The same in loops, where it is executed often and it matters which way was taken.
const SMALL_IN_LOOP: i64 = 200;
/// Of the weight of such a run, what is counted: it may not be executed, and of those behind one branch few are.
const SHARE: i64 = 4;

/// Where a weight is taken off: before this instruction of the sequence.
struct Point {
    sequence: InstrSeqId,
    index: usize,
    /// In parts of a unit, `SHARE` of which are one.
    weight: i64,
    /// Whether the module traps there if too little is left.
    checked: bool,
}

#[derive(Default)]
struct Plan {
    points: Vec<Point>,
    /// Operations whose work is an operand of theirs.
    bulk: Vec<(InstrSeqId, usize)>,
    calls: bool,
    loops: bool,
    /// Loops that what is looked at stands in.
    depth: usize,
}

/// @param length a local variable (i32) for lengths of memory
pub fn meter(function: &mut LocalFunction, globals: &Globals, length: LocalId) {
    let mut plan = Plan::default();
    let entry = function.entry_block();
    let start = plan.start(entry, 0, 0);
    plan.sequence(function, entry, start, SHARE);
    // What calls nothing and does not loop is over soon, and whoever called it is checked.
    plan.points[start].checked = plan.calls || plan.loops;

    let mut insertions: Vec<(InstrSeqId, usize, Vec<Instr>)> = Vec::new();
    for Point { sequence, index, weight, checked } in plan.points {
        let mut code = code::subtract(
            globals.fuel,
            vec![code::constant(Value::I64((weight + SHARE - 1) / SHARE))],
            BinaryOp::I64Sub,
        );
        if checked {
            code.extend(trap_without_fuel(function, globals));
        }
        insertions.push((sequence, index, code));
    }
    for (sequence, index) in plan.bulk {
        match function.block(sequence).instrs[index].0 {
            Instr::MemoryGrow(_) => insertions.push((sequence, index + 1, after_growth(function, globals, length))),
            _ => insertions.push((sequence, index, before_bulk(function, globals, length))),
        }
    }
    // From the end of each sequence, so that the places before stay where they are.
    insertions.sort_by_key(|&(_, index, _)| std::cmp::Reverse(index));
    for (sequence, index, code) in insertions {
        insert(function, sequence, index, code);
    }
}

fn trap_without_fuel(function: &mut LocalFunction, globals: &Globals) -> Vec<Instr> {
    let mut code = vec![code::get(globals.fuel), code::constant(Value::I64(0)), code::binary(BinaryOp::I64LtS)];
    code.push(code::trap_if(function));
    code
}

/// Before an operation whose last operand is a number of bytes.
fn before_bulk(function: &mut LocalFunction, globals: &Globals, length: LocalId) -> Vec<Instr> {
    let price = vec![
        code::local_get(length),
        code::unary(UnaryOp::I64ExtendUI32),
        code::constant(Value::I64(weight::BYTE)),
        code::binary(BinaryOp::I64Mul),
    ];
    let mut code = vec![code::local_tee(length)];
    code.extend(code::subtract(globals.fuel, price, BinaryOp::I64Sub));
    code.extend(trap_without_fuel(function, globals));
    code
}

/// After the memory has grown, or could not: the result is its old size, or -1. Pages cost nothing before, so that a request
/// for more than there can be ends for want of memory and not of fuel.
fn after_growth(function: &mut LocalFunction, globals: &Globals, length: LocalId) -> Vec<Instr> {
    let denied = vec![code::constant(Value::I32(1)), code::set(globals.memory_denied)];
    // Number of pages that are there, less those that were.
    let pages = vec![
        code::memory_size(globals.memory),
        code::local_get(length),
        code::binary(BinaryOp::I32Sub),
        code::unary(UnaryOp::I64ExtendUI32),
        code::constant(Value::I64(weight::PAGE)),
        code::binary(BinaryOp::I64Mul),
    ];
    let mut paid = code::subtract(globals.fuel, pages, BinaryOp::I64Sub);
    paid.extend(trap_without_fuel(function, globals));
    vec![
        code::local_tee(length),
        code::constant(Value::I32(-1)),
        code::binary(BinaryOp::I32Eq),
        code::if_else(function, denied, paid),
        code::local_get(length),
    ]
}

impl Plan {
    fn start(&mut self, sequence: InstrSeqId, index: usize, weight: i64) -> usize {
        self.points.push(Point { sequence, index, weight, checked: false });
        self.points.len() - 1
    }

    fn small(&self) -> i64 {
        if self.depth > 0 {
            SMALL_IN_LOOP
        } else {
            SMALL
        }
    }

    /// Adds what stands in `sequence`, whose first run is counted at `run`.
    ///
    /// @param parts of a unit that each unit of weight is counted as: 1 where the run may not come as far, or `SHARE`
    /// @returns the run that goes on behind the sequence, if it is the same in any case
    fn sequence(
        &mut self,
        function: &LocalFunction,
        sequence: InstrSeqId,
        mut run: usize,
        mut parts: i64,
    ) -> Option<usize> {
        let instructions: Vec<Instr> = function.block(sequence).instrs.iter().map(|(instr, _)| instr.clone()).collect();
        let mut branches = false;
        // The place where the next run starts, if one has to.
        let mut pending: Option<usize> = None;
        for (index, instruction) in instructions.iter().enumerate() {
            if let Some(place) = pending.take() {
                let rest = self.straight_weight(function, &instructions[place..]);
                parts = 1;
                if rest >= self.small() {
                    run = self.start(sequence, place, 0);
                    parts = SHARE;
                }
            }
            self.points[run].weight += weight::of(instruction) * parts;
            match instruction {
                Instr::Block(block) => {
                    if self.sequence(function, block.seq, run, parts).is_none() {
                        branches = true;
                        pending = Some(index + 1);
                    }
                }
                Instr::Loop(body) => {
                    self.loops = true;
                    let turn = self.start(body.seq, 0, weight::TURN * SHARE);
                    self.points[turn].checked = true;
                    self.depth += 1;
                    self.sequence(function, body.seq, turn, SHARE);
                    self.depth -= 1;
                    branches = true;
                    pending = Some(index + 1);
                }
                Instr::IfElse(choice) => {
                    for arm in [choice.consequent, choice.alternative] {
                        let weight = self.straight_weight(
                            function,
                            &function.block(arm).instrs.iter().map(|(instr, _)| instr.clone()).collect::<Vec<_>>(),
                        );
                        let (start, parts) =
                            if weight >= self.small() { (self.start(arm, 0, 0), SHARE) } else { (run, 1) };
                        if self.sequence(function, arm, start, parts).is_none() {
                            branches = true;
                            pending = Some(index + 1);
                        }
                    }
                }
                Instr::Br(_) | Instr::BrIf(_) | Instr::BrTable(_) | Instr::Return(_) | Instr::Unreachable(_) => {
                    branches = true;
                    pending = Some(index + 1);
                }
                Instr::Call(_) | Instr::CallIndirect(_) => self.calls = true,
                Instr::MemoryCopy(_) | Instr::MemoryFill(_) | Instr::MemoryGrow(_) => {
                    self.calls = true;
                    self.bulk.push((sequence, index));
                }
                _ => {}
            }
        }
        (!branches).then_some(run)
    }

    /// Weight up to the next place where the code can branch away; that of a nested block counts as far as it is certain.
    fn straight_weight(&self, function: &LocalFunction, instructions: &[Instr]) -> i64 {
        let mut sum = 0;
        for instruction in instructions {
            sum += weight::of(instruction);
            match instruction {
                Instr::Block(block) => {
                    let inner: Vec<Instr> =
                        function.block(block.seq).instrs.iter().map(|(instr, _)| instr.clone()).collect();
                    return sum + self.straight_weight(function, &inner);
                }
                Instr::Loop(_) | Instr::IfElse(_) | Instr::Br(_) | Instr::BrIf(_) | Instr::BrTable(_) => break,
                Instr::Return(_) | Instr::Unreachable(_) => break,
                _ => {}
            }
            if sum >= self.small() {
                break;
            }
        }
        sum
    }
}
