//! The engine's messages, made fit to be logged.

use crate::policy::{Kind, Refusal};

/// Name of the policy in the engine's messages.
pub const FILE: &str = "model.rego";

/// A policy that does not parse. The message comes from the policy's text alone.
pub fn syntax(error: &anyhow::Error) -> Refusal {
    located(Kind::Syntax, &error.to_string(), |reason| reason.into())
}

/// An evaluation that failed. Builtins put their arguments into messages, and those may be the caller's claims: only
/// wording without arguments is told.
pub fn failure(error: &anyhow::Error) -> Refusal {
    located(Kind::Error, &error.to_string(), |reason| {
        let end = [" Got `", "\nCaused by"].iter().filter_map(|detail| reason.find(detail)).min();
        let wording = &reason[..end.unwrap_or(reason.len())];
        if wording.starts_with("recursion detected") {
            "the rule needs its own value".into()
        } else if SAFE.contains(&wording) || SAFE_BEGINNINGS.iter().any(|beginning| wording.starts_with(beginning)) {
            wording.into()
        } else {
            "an expression could not be evaluated".into()
        }
    })
}

/// What follows these is fixed wording, or a name or a place in the policy.
const SAFE_BEGINNINGS: [&str; 5] = [
    "`",
    "could not find function ",
    "duplicated definition of local variable ",
    "rule conflicts with rule at ",
    "use of undefined variable ",
];

const SAFE: [&str; 18] = [
    "complete rules should not produce multiple outputs",
    "could not deserialize json.",
    "could not parse number",
    "could not parse string as number",
    "decode failed",
    "decode failure",
    "divide by zero",
    "functions must not produce multiple outputs for same inputs",
    "incorrect number of parameters supplied to extension",
    "invalid function expression",
    "invalid glob",
    "invalid regex",
    "invalid semver",
    "modulo by zero",
    "modulo on floating-point number",
    "not a valid target for with modifier",
    "rules should not produce multiple outputs.",
    "undefined rule",
];

/// Takes line, column and reason out of `\n--> model.rego:2:9\n  |\n2 | allow = \n  |         ^\nerror: reason`.
fn located(kind: Kind, message: &str, tell: impl Fn(&str) -> String) -> Refusal {
    let place =
        message.strip_prefix("\n--> ").and_then(|rest| rest.strip_prefix(FILE)).and_then(|rest| rest.strip_prefix(':'));
    let Some((place, rest)) = place.and_then(|rest| rest.split_once('\n')) else {
        return Refusal::new(kind, tell(message));
    };
    let (line, column) = place.split_once(':').unwrap_or((place, ""));
    let reason = rest.split_once("\nerror: ").map_or(rest, |(_, reason)| reason);
    let counted_from_1 = |text: &str| text.parse().ok().filter(|&number| number > 0);
    Refusal { kind, message: tell(reason.trim()), line: counted_from_1(line), column: counted_from_1(column) }
}
