//! The `time` builtins, on the caller's clock and in UTC only. They answer as regorus's own (its feature `time`) do.

use std::cell::Cell;

use anyhow::{anyhow, bail, Result};
use chrono::{DateTime, Datelike, Days, Months, TimeDelta, Timelike, Utc, Weekday};
use regorus::{Engine, Value};

mod duration;

thread_local! {
    static NOW_NS: Cell<i64> = const { Cell::new(0) };
}

/// What `time.now_ns()` answers from now on, every time it is asked.
pub fn set_now(now_ns: i64) {
    NOW_NS.set(now_ns);
}

/// Adds the builtins to `engine`.
pub fn register(engine: &mut Engine) -> Result<()> {
    for (name, arity, builtin) in BUILTINS {
        engine.add_extension(name.into(), arity, Box::new(move |arguments: Vec<Value>| builtin(name, &arguments)))?;
    }
    engine.add_extension(NOW.into(), 0, Box::new(|_: Vec<Value>| Ok(Value::from(NOW_NS.get()))))
}

/// Number of arguments of a builtin of this module.
pub fn arity(name: &str) -> Option<u8> {
    if name == NOW {
        return Some(0);
    }
    BUILTINS.iter().find(|(known, ..)| *known == name).map(|&(_, arity, _)| arity)
}

const NOW: &str = "time.now_ns";

type Builtin = fn(&'static str, &[Value]) -> Result<Value>;

const BUILTINS: [(&str, u8, Builtin); 6] = [
    ("time.parse_rfc3339_ns", 1, parse_rfc3339_ns),
    ("time.parse_duration_ns", 1, parse_duration_ns),
    ("time.add_date", 4, add_date),
    ("time.date", 1, date),
    ("time.clock", 1, clock),
    ("time.weekday", 1, weekday),
];

fn parse_rfc3339_ns(name: &str, arguments: &[Value]) -> Result<Value> {
    let text = string(name, &arguments[0])?;
    let moment = DateTime::parse_from_rfc3339(text).map_err(|_| anyhow!("`{name}` expects an RFC 3339 time"))?;
    nanoseconds(name, moment.to_utc())
}

fn parse_duration_ns(name: &str, arguments: &[Value]) -> Result<Value> {
    let text = string(name, &arguments[0])?;
    let duration = duration::parse(text).ok_or_else(|| anyhow!("`{name}` expects a duration such as 1h30m"))?;
    Ok(Value::from(duration))
}

/// Years, then months, then days; a day past the end of its month becomes the last of it. As in regorus, a date that
/// the year does not have (29 February plus one year) is undefined.
fn add_date(name: &str, arguments: &[Value]) -> Result<Value> {
    let moment = utc(name, &arguments[0])?;
    let [years, months, days] = [&arguments[1], &arguments[2], &arguments[3]].map(|argument| int32(name, argument));
    let (years, months, days) = (years?, months?, days?);
    let sum = moment
        .year()
        .checked_add(years)
        .and_then(|year| moment.with_year(year))
        .and_then(|moment| match Months::new(months.unsigned_abs()) {
            forward if months >= 0 => moment.checked_add_months(forward),
            back => moment.checked_sub_months(back),
        })
        .and_then(|moment| match Days::new(days.unsigned_abs().into()) {
            forward if days >= 0 => moment.checked_add_days(forward),
            back => moment.checked_sub_days(back),
        });
    sum.map_or(Ok(Value::Undefined), |moment| nanoseconds(name, moment))
}

fn date(name: &str, arguments: &[Value]) -> Result<Value> {
    let moment = utc(name, &arguments[0])?;
    Ok(triple(moment.year().into(), moment.month().into(), moment.day().into()))
}

fn clock(name: &str, arguments: &[Value]) -> Result<Value> {
    let moment = utc(name, &arguments[0])?;
    Ok(triple(moment.hour().into(), moment.minute().into(), moment.second().into()))
}

fn weekday(name: &str, arguments: &[Value]) -> Result<Value> {
    let day = match utc(name, &arguments[0])?.weekday() {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    };
    Ok(Value::from(day))
}

fn triple(first: i64, second: i64, third: i64) -> Value {
    Value::from(vec![Value::from(first), Value::from(second), Value::from(third)])
}

/// A moment as policies write it: nanoseconds since 1970, or an array of those and the name of a time zone.
fn utc(name: &str, value: &Value) -> Result<DateTime<Utc>> {
    let number = match value {
        Value::Array(parts) => match parts.as_slice() {
            [number] => number,
            [number, Value::String(zone)] if matches!(zone.as_ref(), "UTC" | "") => number,
            [_, Value::String(_)] => bail!("`{name}` knows no time zone but UTC"),
            _ => value,
        },
        _ => value,
    };
    let nanoseconds =
        number.as_i64().map_err(|_| anyhow!("`{name}` expects nanoseconds since 1970 as a 64-bit integer"))?;
    Ok(DateTime::UNIX_EPOCH + TimeDelta::nanoseconds(nanoseconds))
}

fn nanoseconds(name: &str, moment: DateTime<Utc>) -> Result<Value> {
    let nanoseconds =
        moment.timestamp_nanos_opt().ok_or_else(|| anyhow!("`{name}` reaches beyond the years 1677 to 2262"))?;
    Ok(Value::from(nanoseconds))
}

fn string<'a>(name: &str, value: &'a Value) -> Result<&'a str> {
    match value {
        Value::String(text) => Ok(text),
        _ => bail!("`{name}` expects a string"),
    }
}

fn int32(name: &str, value: &Value) -> Result<i32> {
    let number = value.as_i64().ok().and_then(|number| number.try_into().ok());
    number.ok_or_else(|| anyhow!("`{name}` expects 32-bit integers"))
}
