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
        let wording = reason.split(" Got `").next().unwrap_or_default();
        if wording.starts_with("recursion detected") {
            return "the rule needs its own value".into();
        }
        let known = SAFE_BEGINNINGS.iter().any(|beginning| wording.starts_with(beginning)) || SAFE.contains(&wording);
        if known {
            wording.into()
        } else {
            "an expression could not be evaluated".into()
        }
    })
}

/// What follows these comes from the policy's text (a name) or is fixed wording.
const SAFE_BEGINNINGS: [&str; 4] =
    ["`", "could not find function ", "use of undefined variable ", "duplicated definition of local variable "];

const SAFE: [&str; 15] = [
    "divide by zero",
    "modulo by zero",
    "modulo on floating-point number",
    "could not parse number",
    "could not parse string as number",
    "could not deserialize json.",
    "invalid regex",
    "invalid glob",
    "invalid semver",
    "invalid function expression",
    "complete rules should not produce multiple outputs",
    "rules should not produce multiple outputs.",
    "functions must not produce multiple outputs for same inputs",
    "incorrect number of parameters supplied to extension",
    "not a valid target for with modifier",
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
