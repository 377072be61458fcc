//! Instants and durations of the store's clock.
//!
//! Both are whole microseconds: fine enough for any lease, and a microsecond instant stays below
//! 2^53 until the year 2255, so it can seed fencing tokens that JSON numbers carry exactly.

use minicbor::{Decode, Encode};
use std::fmt;
use std::ops::{Add, Sub};

/// An instant of the store's clock: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] u64);

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Span(#[n(0)] u64);

impl Timestamp {
    /// The epoch itself: earlier than any instant a store reports.
    pub const ZERO: Self = Self(0);
    /// Later than any instant a store reports; "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch (saturating).
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Nothing was given.
    #[error("is empty; write a number with a unit, like \"30s\" or \"1h30m\"")]
    Empty,
    /// A number stands without a unit.
    #[error("has a number without a unit; units are ns, us, ms, s, m, h, as in \"1h30m\"")]
    MissingUnit,
    /// The unit is not one of Go's.
    #[error("has the unknown unit \"{0}\"; units are ns, us, ms, s, m, h")]
    UnknownUnit(String),
    /// Not a number where one must be.
    #[error("is not a duration; write a number with a unit, like \"30s\" or \"1h30m\"")]
    NotANumber,
    /// Longer than can be represented.
    #[error("is too long")]
    TooLong,
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From milliseconds (saturating).
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// From seconds (saturating).
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Seconds with their fraction, for metrics and people.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Half of it.
    #[must_use]
    pub const fn half(self) -> Self {
        Self(self.0 / 2)
    }

    /// True for no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The same length as a standard duration.
    #[must_use]
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }

    /// Reads a Go style duration (`time.ParseDuration`): one or more decimal numbers, each with a
    /// unit of ns, us, ms, s, m, h. Parts of a microsecond are cut off. Signs, days, months and
    /// bare numbers are refused: the reader of a configuration must never have to guess.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        if text.is_empty() {
            return Err(SpanError::Empty);
        }
        let mut rest = text;
        let mut nanos: u128 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (whole, after) = rest.split_at(digits);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(tail) => tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(SpanError::NotANumber);
            }
            // 18 digits hold any sensible duration and keep the arithmetic below 2^127.
            if whole.len() > 18 || fraction.len() > 18 {
                return Err(SpanError::TooLong);
            }
            let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_len);
            let unit_nanos: u128 = match unit {
                "" => return Err(SpanError::MissingUnit),
                "ns" => 1,
                "us" | "µs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                other => return Err(SpanError::UnknownUnit(other.chars().take(16).collect())),
            };
            let number = |digits: &str| digits.parse::<u128>().unwrap_or(0);
            nanos += number(whole) * unit_nanos;
            nanos += number(fraction) * unit_nanos / 10u128.pow(fraction.len() as u32);
            rest = next;
        }
        let micros = u64::try_from(nanos / 1000).map_err(|_| SpanError::TooLong)?;
        Ok(Self(micros))
    }
}

impl fmt::Display for Span {
    /// Go style, exact to the microsecond: `1h30m0s`, `250ms`, `1.5s`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = |f: &mut fmt::Formatter<'_>, whole: u64, rest: u64, width: usize, unit: &str| {
            if rest == 0 {
                write!(f, "{whole}{unit}")
            } else {
                let digits = format!("{rest:0width$}");
                write!(f, "{whole}.{}{unit}", digits.trim_end_matches('0'))
            }
        };
        match self.0 {
            0 => write!(f, "0s"),
            us @ 1..1000 => write!(f, "{us}us"),
            us @ 1000..1_000_000 => fraction(f, us / 1000, us % 1000, 3, "ms"),
            us => {
                let (secs, micros) = (us / 1_000_000, us % 1_000_000);
                let (hours, minutes) = (secs / 3600, secs / 60 % 60);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                fraction(f, secs % 60, micros, 6, "s")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, micros) in [
            ("0s", 0),
            ("250ms", 250_000),
            ("1h30m", 5_400_000_000),
            ("1.5s", 1_500_000),
            (".5s", 500_000),
            ("1us", 1),
            ("999ns", 0),
            ("720h", 2_592_000_000_000),
        ] {
            assert_eq!(Span::parse(text), Ok(Span::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn refuses_what_would_have_to_be_guessed() {
        assert_eq!(Span::parse(""), Err(SpanError::Empty));
        assert_eq!(Span::parse("30"), Err(SpanError::MissingUnit));
        assert_eq!(Span::parse("1h30"), Err(SpanError::MissingUnit));
        assert_eq!(Span::parse("1d"), Err(SpanError::UnknownUnit("d".into())));
        assert_eq!(Span::parse("1M"), Err(SpanError::UnknownUnit("M".into())));
        for text in ["-1s", "+1s", "s", " 1s", "1s ", "1 s", "1e3s", "."] {
            assert!(Span::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Span::parse("99999999999999999999h"), Err(SpanError::TooLong));
        assert_eq!(Span::parse("999999999999999h"), Err(SpanError::TooLong));
    }

    #[test]
    fn writes_what_it_reads() {
        for (micros, text) in [
            (0, "0s"),
            (7, "7us"),
            (1_500, "1.5ms"),
            (250_000, "250ms"),
            (1_500_000, "1.5s"),
            (60_000_000, "1m0s"),
            (5_400_000_000, "1h30m0s"),
        ] {
            assert_eq!(Span::from_micros(micros).to_string(), text);
            assert_eq!(Span::parse(text), Ok(Span::from_micros(micros)));
        }
    }
}
