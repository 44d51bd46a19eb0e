//! One question, or the same one about many tensors.

use std::cell::RefCell;

use anyhow::Result as Attempt;
use regorus::{Engine, Value};
use serde::{Deserialize, Serialize};

use crate::{calls, report, time};

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
    /// The rule can be asked about each of these, as `input.tensor`.
    #[serde(default)]
    tensors: Option<Vec<Value>>,
}

/// `{"ok":true,"value":…}`, or `{"ok":false,"kind":…,"message":…}` with a line and a column where there is a place.
#[derive(Serialize, Debug, PartialEq)]
#[serde(untagged)]
enum Answer {
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

/// The JSON text of an [`Answer`].
pub fn encode(outcome: Result<bool, Refusal>) -> Vec<u8> {
    let answer = match outcome {
        Ok(value) => Answer::Value { ok: true, value },
        Err(refusal) => Answer::Refusal { ok: false, refusal },
    };
    serde_json::to_vec(&answer).expect("an answer has string keys only")
}

thread_local! {
    /// An engine that knows no policy yet. There is one question per instance, so it is taken once.
    static PREPARED: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// A question that needs what most do: tables that are made when they are first looked at.
const REHEARSAL: &str = r#"{
    "policy": "package model\nallow if startswith(input.name, concat(\"\", [\"a\", input.text]))",
    "rule": "allow",
    "input": { "name": "abc", "text": "b" },
    "now_ns": 0
}"#;

/// Makes the engine for [`Session::read`], after another has answered a question.
pub fn prepare() {
    let engine = || engine().expect("the engine takes its own builtins");
    PREPARED.set(Some(engine()));
    let answer = Session::read(REHEARSAL.as_bytes()).and_then(|mut session| {
        session.compile()?;
        session.ask(0)
    });
    assert_eq!(encode(answer), br#"{"ok":true,"value":true}"#);
    PREPARED.set(Some(engine()));
}

fn engine() -> Attempt<Engine> {
    let mut engine = Engine::new();
    // As in the reference: a builtin that fails is an error, not undefined, so that `not f(x)` cannot open by a failure.
    engine.set_strict_builtin_errors(true);
    time::register(&mut engine)?;
    calls::remove_random(&mut engine)?;
    Ok(engine)
}

/// A policy, and what it is asked about.
pub struct Session {
    request: Request,
    engine: Engine,
}

impl Session {
    /// From the JSON text of a [`Request`].
    pub fn read(request: &[u8]) -> Result<Self, Refusal> {
        let request: Request = serde_json::from_slice(request)
            // The text of the error could quote the input.
            .map_err(|_| Refusal::new(Kind::Error, "the input is not JSON that the engine can read"))?;
        let engine = PREPARED.take();
        let engine = engine.ok_or_else(|| Refusal::new(Kind::Error, "this instance has been asked already"))?;
        time::set_now(request.now_ns);
        Ok(Self { request, engine })
    }

    pub fn compile(&mut self) -> Result<(), Refusal> {
        let policy = std::mem::take(&mut self.request.policy);
        self.engine.add_policy(report::FILE.into(), policy).map_err(|error| report::syntax(&error))?;
        Ok(())
    }

    pub fn analyse(&mut self) -> Result<(), Refusal> {
        let rule = self.request.rule.as_str();
        match self.engine.compile_with_entrypoint(&path(rule).into()) {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(&self.engine, rule, &error)),
        }
    }

    pub fn check_calls(&mut self) -> Result<(), Refusal> {
        let modules = self.engine.get_modules();
        modules.iter().try_for_each(|module| calls::check(module)).map_err(|error| report::syntax(&error))
    }

    pub fn ask(&mut self, index: usize) -> Result<bool, Refusal> {
        let Request { rule, input, tensors, .. } = &mut self.request;
        let Some(tensors) = tensors else {
            return ask(&mut self.engine, rule, std::mem::replace(input, Value::Null));
        };
        let tensor = tensors.get_mut(index).map(|tensor| std::mem::replace(tensor, Value::Null));
        let tensor = tensor.ok_or_else(|| Refusal::new(Kind::Error, "there is no such tensor"))?;
        let mut input = input.clone();
        let fields = input.as_object_mut().map_err(|_| Refusal::new(Kind::Error, "the input is not an object"))?;
        fields.insert("tensor".into(), tensor);
        // An engine of its own for each, compiled already: an evaluation that fails half-way leaves traces.
        ask(&mut self.engine.clone(), rule, input)
    }
}

fn ask(engine: &mut Engine, rule: &str, input: Value) -> Result<bool, Refusal> {
    engine.set_input(input);
    match engine.eval_rule(path(rule)) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(Value::Undefined) => Err(Refusal::new(Kind::Undefined, "the rule is undefined")),
        Ok(other) => Err(Refusal::new(Kind::NotBoolean, type_name(&other))),
        Err(error) => Err(refusal(engine, rule, &error)),
    }
}

fn path(rule: &str) -> String {
    format!("data.{PACKAGE}.{rule}")
}

fn refusal(engine: &Engine, rule: &str, error: &anyhow::Error) -> Refusal {
    if !declares(engine, rule) {
        return Refusal::new(Kind::NoRule, format!("the policy does not define {}", path(rule)));
    }
    if error.to_string() == "not a valid rule path" {
        return Refusal::new(Kind::Error, format!("the policy defines only parts of {}", path(rule)));
    }
    report::failure(error)
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
