//! Calls that cannot succeed, told from the policy alone. The engine itself finds them when it comes to make them, which
//! can be never, or at a customer's.

use std::collections::BTreeMap;

use anyhow::{anyhow, Result};
use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span, BUILTINS};
use regorus::Engine;

use crate::time;

/// A builtin that needs randomness, which there is none of.
const RANDOM: &str = "rand.intn";

/// Without this, asking for randomness would be a fault of the engine.
pub fn remove_random(engine: &mut Engine) -> Result<()> {
    engine.add_extension(RANDOM.into(), 2, Box::new(|_| Err(anyhow!("could not find function {RANDOM}"))))
}

/// The package's own functions, and how many arguments each takes.
type Functions = BTreeMap<String, usize>;

/// @returns an error with the place of the first call that cannot succeed
pub fn check(module: &Module) -> Result<()> {
    let mut functions = Functions::new();
    for rule in &module.policy {
        let (refr, args) = match rule.as_ref() {
            Rule::Spec { head: RuleHead::Func { refr, args, .. }, .. } => (refr, args),
            Rule::Default { refr, args, .. } if !args.is_empty() => (refr, args),
            _ => continue,
        };
        if let Some(name) = path(refr) {
            functions.insert(name, args.len());
        }
    }
    let package = path(&module.package.refr).unwrap_or_default();
    let aliases = module.imports.iter().filter_map(|import| match &import.r#as {
        Some(alias) => Some(alias.text().to_string()),
        None => path(&import.refr).and_then(|path| path.rsplit('.').next().map(Into::into)),
    });
    let checker = Checker { functions, prefix: format!("data.{package}."), aliases: aliases.collect() };
    module.policy.iter().try_for_each(|rule| checker.rule(rule))
}

struct Checker {
    functions: Functions,
    /// How the package's own functions can be called too.
    prefix: String,
    /// Names that imports give. What such a name calls is not looked into.
    aliases: Vec<String>,
}

impl Checker {
    fn call(&self, span: &Span, function: &Expr, arguments: usize) -> Result<()> {
        let Some(name) = path(function) else { return Ok(()) };
        if self.aliases.iter().any(|alias| name.split('.').next() == Some(alias)) {
            return Ok(());
        }
        let own = name.strip_prefix(&self.prefix).unwrap_or(&name);
        let expected = if let Some(&arity) = self.functions.get(own) {
            arity
        } else if name == "print" {
            return Ok(());
        } else if let Some(arity) = builtin_arity(&name) {
            arity.into()
        } else {
            return Err(anyhow!(span.error(&format!("could not find function {name}"))));
        };
        // One more is where the result goes: `f(x, result)`.
        if arguments == expected || arguments == expected + 1 {
            return Ok(());
        }
        let words = format!("function {name} takes {expected} arguments, and is given {arguments}");
        Err(anyhow!(span.error(&words)))
    }

    fn rule(&self, rule: &Rule) -> Result<()> {
        match rule {
            Rule::Default { refr, value, .. } => self.exprs([refr, value]),
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.expr(refr)?;
                        self.assign(assign.as_ref())?;
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.expr(refr)?;
                        self.exprs(key)?;
                    }
                    RuleHead::Func { args, assign, .. } => {
                        self.exprs(args)?;
                        self.assign(assign.as_ref())?;
                    }
                }
                bodies.iter().try_for_each(|body| {
                    self.assign(body.assign.as_ref())?;
                    self.query(&body.query)
                })
            }
        }
    }

    fn assign(&self, assign: Option<&RuleAssign>) -> Result<()> {
        assign.map_or(Ok(()), |assign| self.expr(&assign.value))
    }

    fn query(&self, query: &Query) -> Result<()> {
        query.stmts.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&self, statement: &LiteralStmt) -> Result<()> {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                self.exprs(key)?;
                self.exprs([value, collection])?;
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr)?,
            Literal::Every { domain, query, .. } => {
                self.expr(domain)?;
                self.query(query)?;
            }
        }
        statement.with_mods.iter().try_for_each(|with| self.expr(&with.r#as))
    }

    fn exprs<'a>(&self, exprs: impl IntoIterator<Item = &'a Ref<Expr>>) -> Result<()> {
        exprs.into_iter().try_for_each(|expr| self.expr(expr))
    }

    fn expr(&self, expr: &Expr) -> Result<()> {
        match expr {
            Expr::Array { items, .. } | Expr::Set { items, .. } => self.exprs(items),
            Expr::Object { fields, .. } => fields.iter().try_for_each(|(_, key, value)| self.exprs([key, value])),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term)?;
                self.query(query)
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.exprs([key, value])?;
                self.query(query)
            }
            Expr::Call { span, fcn, params, .. } => {
                self.call(span, fcn, params.len())?;
                self.exprs(params)
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::RefDot { refr, .. } => self.expr(refr),
            Expr::RefBrack { refr, index, .. } => self.exprs([refr, index]),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => self.exprs([lhs, rhs]),
            Expr::Membership { key, value, collection, .. } => {
                self.exprs(key)?;
                self.exprs([value, collection])
            }
            _ => Ok(()),
        }
    }
}

fn builtin_arity(name: &str) -> Option<u8> {
    let known = BUILTINS.get(name).filter(|_| name != RANDOM);
    time::arity(name).or(known.map(|builtin| builtin.1))
}

/// `a.b.c` of a plain reference; none of any other expression.
fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Var { span, .. } => Some(span.text().to_string()),
        Expr::RefDot { refr, field, .. } => Some(format!("{}.{}", path(refr)?, field.0.text())),
        Expr::RefBrack { refr, index, .. } => match index.as_ref() {
            Expr::String { value, .. } => Some(format!("{}.{}", path(refr)?, value.as_string().ok()?)),
            _ => None,
        },
        _ => None,
    }
}
