//! Durations, sizes and rates as people write them: a whole number and a unit.

use std::time::Duration;

/// Why a quantity was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No digits at its beginning.
    #[error("does not begin with a whole number")]
    NoNumber,
    /// Digits alone.
    #[error("has no unit")]
    NoUnit,
    /// A decimal point.
    #[error("is not a whole number of units")]
    Fraction,
    /// Letters that are no unit.
    #[error("has an unknown unit")]
    UnknownUnit,
    /// More than 64 bits hold.
    #[error("is too large")]
    TooLarge,
}

/// So many in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In what time.
    pub per: Duration,
}

/// A duration: `250ms`, `5s`, `1m`, `1h`, `1d`.
///
/// # Errors
/// [`QuantityError`] says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    let (count, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(QuantityError::UnknownUnit),
    };
    count.checked_mul(unit_ms).map(Duration::from_millis).ok_or(QuantityError::TooLarge)
}

/// A size in bytes: `512B`, `64KiB`, `1MiB`, `1GiB`, `1TiB`, or by thousands `10KB`, `10MB`, `1GB`, `1TB`.
///
/// # Errors
/// [`QuantityError`] says what is wrong with the text.
pub fn size(text: &str) -> Result<u64, QuantityError> {
    let (count, unit) = split(text)?;
    let unit_bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(QuantityError::UnknownUnit),
    };
    count.checked_mul(unit_bytes).ok_or(QuantityError::TooLarge)
}

/// A rate: `100/s`, `10000/min`, `5/h`, `1/d`.
///
/// # Errors
/// [`QuantityError`] says what is wrong with the text.
pub fn rate(text: &str) -> Result<Rate, QuantityError> {
    let (count, unit) = split(text)?;
    let seconds = match unit {
        "/s" => 1,
        "/m" | "/min" => 60,
        "/h" => 3_600,
        "/d" => 86_400,
        _ => return Err(QuantityError::UnknownUnit),
    };
    Ok(Rate { count, per: Duration::from_secs(seconds) })
}

/// A duration as it would be written, in the largest unit that holds it whole.
pub fn show_duration(value: Duration) -> String {
    let ms = value.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms > 0 && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// A size as it would be written, in the largest binary unit that holds it whole.
pub fn show_size(bytes: u64) -> String {
    for (unit_bytes, unit) in
        [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
    {
        if bytes > 0 && bytes.is_multiple_of(unit_bytes) {
            return format!("{}{unit}", bytes / unit_bytes);
        }
    }
    format!("{bytes}B")
}

fn split(text: &str) -> Result<(u64, &str), QuantityError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(QuantityError::NoNumber);
    }
    let number = number.parse().map_err(|_| QuantityError::TooLarge)?;
    match unit.trim_start_matches(' ') {
        "" => Err(QuantityError::NoUnit),
        rest if rest.starts_with('.') => Err(QuantityError::Fraction),
        rest => Ok((number, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_each_unit() {
        for (text, ms) in
            [("250ms", 250), ("5s", 5_000), ("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("10MB", 10_000_000),
            ("2GiB", 2 << 30),
            ("3 kB", 3_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!(rate("100/s"), Ok(Rate { count: 100, per: Duration::from_secs(1) }));
        assert_eq!(rate("10000/min"), Ok(Rate { count: 10_000, per: Duration::from_secs(60) }));
    }

    #[test]
    fn says_what_is_wrong_with_the_others() {
        assert_eq!(duration("5"), Err(QuantityError::NoUnit));
        assert_eq!(duration("1.5s"), Err(QuantityError::Fraction));
        assert_eq!(duration("-1s"), Err(QuantityError::NoNumber));
        assert_eq!(duration("5 minutes"), Err(QuantityError::UnknownUnit));
        assert_eq!(duration("99999999999999999999s"), Err(QuantityError::TooLarge));
        assert_eq!(duration("999999999999999999d"), Err(QuantityError::TooLarge));
        assert_eq!(size("64kib"), Err(QuantityError::UnknownUnit));
        assert_eq!(size(""), Err(QuantityError::NoNumber));
        assert_eq!(rate("100"), Err(QuantityError::NoUnit));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0u64..100_000_000_000, bytes in 0u64..1 << 50) {
            let value = Duration::from_millis(ms);
            prop_assert_eq!(duration(&show_duration(value)), Ok(value));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_gets_an_answer(text in ".*") {
            let _ = (duration(&text), size(&text), rate(&text));
        }
    }
}
