//! Which functions can come to call themselves, directly or through others.

use std::collections::{HashMap, HashSet};

use walrus::ir::Instr;
use walrus::{ElementItems, FunctionId, LocalFunction, Module, TypeId};

/// The functions of all cycles of the call graph. A call through the table can reach whatever has its type there.
pub fn recursive(module: &Module) -> HashSet<FunctionId> {
    let in_table = functions_in_table(module);
    let called: HashMap<FunctionId, HashSet<FunctionId>> =
        module.funcs.iter_local().map(|(id, function)| (id, calls(function, &in_table))).collect();
    called.keys().copied().filter(|&id| reaches_itself(id, &called)).collect()
}

fn functions_in_table(module: &Module) -> HashMap<TypeId, Vec<FunctionId>> {
    let mut found: HashMap<TypeId, Vec<FunctionId>> = HashMap::new();
    for element in module.elements.iter() {
        if let ElementItems::Functions(functions) = &element.items {
            for &id in functions {
                found.entry(module.funcs.get(id).ty()).or_default().push(id);
            }
        }
    }
    found
}

fn calls(function: &LocalFunction, in_table: &HashMap<TypeId, Vec<FunctionId>>) -> HashSet<FunctionId> {
    let mut called = HashSet::new();
    let mut sequences = vec![function.entry_block()];
    while let Some(sequence) = sequences.pop() {
        for (instruction, _) in &function.block(sequence).instrs {
            match instruction {
                Instr::Block(block) => sequences.push(block.seq),
                Instr::Loop(block) => sequences.push(block.seq),
                Instr::IfElse(choice) => sequences.extend([choice.consequent, choice.alternative]),
                Instr::Call(call) => {
                    called.insert(call.func);
                }
                Instr::CallIndirect(call) => called.extend(in_table.get(&call.ty).into_iter().flatten()),
                _ => {}
            }
        }
    }
    called
}

fn reaches_itself(start: FunctionId, called: &HashMap<FunctionId, HashSet<FunctionId>>) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for &next in called.get(&id).into_iter().flatten() {
            if next == start {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}
