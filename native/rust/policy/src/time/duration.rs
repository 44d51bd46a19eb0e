//! Durations as OPA writes them, after Go: `[-+]`, then one or more of a decimal number and a unit (`1h30m`, `-1.5s`).

/// Nanoseconds; none if the text is not a duration or does not fit 64 bits. A fraction of a nanosecond is dropped.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let unit = unit(&after[..end])?;
        rest = &after[end..];

        total = total.checked_add(decimal(whole)?.checked_mul(unit)?)?;
        // No unit is longer than 10^13 nanoseconds, so later decimals cannot make a nanosecond.
        let fraction = &fraction[..fraction.len().min(15)];
        total = total.checked_add(decimal(fraction)? * unit / 10i128.pow(fraction.len() as u32))?;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn decimal(digits: &str) -> Option<i128> {
    if digits.is_empty() {
        Some(0)
    } else {
        digits.parse().ok()
    }
}

/// Nanoseconds in a unit.
fn unit(name: &str) -> Option<i128> {
    Some(match name {
        "ns" => 1,
        // The micro sign, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}
