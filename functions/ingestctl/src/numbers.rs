//! Numbers and times in readable form.

use chrono::{DateTime, Utc};
use pipeline::FailedWindow;

/// A number with thousands separators.
pub(crate) fn number(value: impl Into<i128>) -> String {
    let value = value.into();
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// How many there are: 1 window, 2,000 windows.
pub(crate) fn count(value: impl Into<i128>, noun: &str) -> String {
    let value = value.into();
    format!("{} {noun}{}", number(value), if value == 1 { "" } else { "s" })
}

/// A number in a few characters, such as 950, 12.5 k or 3 M.
pub(crate) fn short_number(value: f64) -> String {
    let (value, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, " G"),
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    if unit.is_empty() && value.fract() == 0.0 {
        return number(value as i64);
    }
    let text = format!("{value:.1}");
    format!("{}{unit}", text.trim_end_matches(".0"))
}

/// Bytes, such as 17 MiB.
pub(crate) fn bytes(value: i64) -> String {
    let mut amount = value as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            return format!(
                "{} {unit}",
                if unit == "B" || amount >= 100.0 { format!("{amount:.0}") } else { format!("{amount:.1}") }
            );
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} TiB")
}

/// A duration, such as 5 s, 3 min or 2 d 4 h.
pub(crate) fn age(seconds: i64) -> String {
    let (minute, hour, day) = (60, 3_600, 86_400);
    let two = |large: i64, unit: &str, rest: i64, small: &str| match rest {
        0 => format!("{} {unit}", number(large)),
        rest => format!("{} {unit} {rest} {small}", number(large)),
    };
    match seconds {
        s if s < 2 * minute => format!("{s} s"),
        s if s < hour => format!("{} min", s / minute),
        s if s < day => two(s / hour, "h", s % hour / minute, "min"),
        s => two(s / day, "d", s % day / hour, "h"),
    }
}

/// An instant in UTC, to the second.
pub(crate) fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The command that loads a failed window once its cause is fixed.
pub(crate) fn cure(failed: &FailedWindow) -> String {
    format!("ingestctl replay -s {} -e {}", failed.window.start(), failed.window.end())
}

#[cfg(test)]
mod tests {
    use super::{age, bytes, count, number, short_number};

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0i64, 7, 999, 1_000, -1_234_567].into_iter().map(number).collect();
        assert_eq!(shown, ["0", "7", "999", "1,000", "-1,234,567"]);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(
            [0, 1, 2, 1_000].map(|n| count(n, "window")),
            ["0 windows", "1 window", "2 windows", "1,000 windows"]
        );
    }

    #[test]
    fn large_ones_are_short() {
        let shown = [0.0, 2.5, 9_999.0, 12_500.0, 3e6, 4.2e9].map(short_number);
        assert_eq!(shown, ["0", "2.5", "9,999", "12.5 k", "3 M", "4.2 G"]);
        let shown = [0, 1023, 1024, 18_000_000, 5 << 40].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "17.2 MiB", "5.0 TiB"]);
    }

    #[test]
    fn ages_have_two_units_at_most() {
        let shown = [0, 119, 120, 3_599, 3_600, 90_000, 86_400_000].map(age);
        assert_eq!(shown, ["0 s", "119 s", "2 min", "59 min", "1 h", "1 d 1 h", "1,000 d"]);
    }
}
