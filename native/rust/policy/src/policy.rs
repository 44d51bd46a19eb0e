//! One evaluation: a request in, an answer out.

use regorus::{Engine, Value};
use serde::{Deserialize, Serialize};

use crate::{report, time};

/// The package that the format asks (FORMAT.md §2).
const PACKAGE: &str = "model";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Rego v1 source text.
    policy: String,
    /// Name of the rule that is asked in package `model`: `allow` or `allow_tensor`.
    rule: String,
    /// The policy's `input`.
    input: Value,
    /// What `time.now_ns()` answers, in nanoseconds since 1970.
    now_ns: i64,
}

/// `{"ok":true,"value":…}`, or `{"ok":false,"kind":…,"message":…}` with a line and a column where there is a place.
#[derive(Serialize, Debug, PartialEq)]
#[serde(untagged)]
pub enum Answer {
    Value {
        ok: bool,
        value: bool,
    },
    Refusal {
        ok: bool,
        #[serde(flatten)]
        refusal: Refusal,
    },
}

/// Why there is no boolean. Never tells a value that the policy computed: it may be one of the caller's claims.
#[derive(Serialize, Debug, PartialEq)]
pub struct Refusal {
    pub kind: Kind,
    pub message: String,
    /// Place in the policy, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

#[derive(Serialize, Debug, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The rule has no value for this input.
    Undefined,
    /// The rule has a value that is neither `true` nor `false`; `message` names its type.
    NotBoolean,
    /// The policy does not define the rule.
    NoRule,
    /// The policy is not Rego v1.
    Syntax,
    /// The evaluation failed.
    Error,
}

impl Refusal {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), line: None, column: None }
    }
}

/// Answers the JSON text of a [`Request`] with the JSON text of an [`Answer`].
pub fn answer(request: &[u8]) -> Vec<u8> {
    let outcome = serde_json::from_slice(request)
        // The text of the error could quote the input.
        .map_err(|_| Refusal::new(Kind::Error, "the input is not JSON that the engine can read"))
        .and_then(evaluate);
    let answer = match outcome {
        Ok(value) => Answer::Value { ok: true, value },
        Err(refusal) => Answer::Refusal { ok: false, refusal },
    };
    serde_json::to_vec(&answer).expect("an answer has string keys only")
}

fn evaluate(request: Request) -> Result<bool, Refusal> {
    let mut engine = Engine::new();
    // As in the reference: a builtin that fails is an error, not undefined, so that `not f(x)` cannot open by a failure.
    engine.set_strict_builtin_errors(true);
    time::register(&mut engine, request.now_ns).map_err(|error| report::failure(&error))?;
    engine.add_policy(report::FILE.into(), request.policy).map_err(|error| report::syntax(&error))?;
    engine.set_input(request.input);
    match engine.eval_rule(format!("data.{PACKAGE}.{}", request.rule)) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(Value::Undefined) => Err(Refusal::new(Kind::Undefined, "the rule is undefined")),
        Ok(other) => Err(Refusal::new(Kind::NotBoolean, type_name(&other))),
        Err(_) if !declares(&engine, &request.rule) => {
            Err(Refusal::new(Kind::NoRule, format!("the policy does not define data.{PACKAGE}.{}", request.rule)))
        }
        Err(error) if error.to_string() == "not a valid rule path" => {
            Err(Refusal::new(Kind::Error, format!("the policy defines only parts of data.{PACKAGE}.{}", request.rule)))
        }
        Err(error) => Err(report::failure(&error)),
    }
}

/// Whether the policy says anything at all about `rule`. A part of it (`allow_tensor.x := true`) counts, and so does
/// whatever cannot be told: that rule failed, rather than being left out by choice.
fn declares(engine: &Engine, rule: &str) -> bool {
    let Ok(packages) = engine.get_policy_package_components() else { return true };
    packages.iter().any(|package| match package.components.as_slice() {
        [package] => package == PACKAGE && engine.has_declared_rule_rooted_at(report::FILE, rule).unwrap_or(true),
        [package, part, ..] => package == PACKAGE && part == rule,
        [] => true,
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}
