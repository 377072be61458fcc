//! Sizes in bytes, written with their unit: a bare number would leave the reader to guess it.

const UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number with a unit.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if text.is_empty() {
        return Err("is empty; write a number with a unit, like \"16MiB\"".to_owned());
    }
    if number.is_empty() {
        return Err("is not a size; write a whole number with a unit, like \"16MiB\"".to_owned());
    }
    if unit.is_empty() {
        return Err("has no unit; units are B, KiB, MiB, GiB, as in \"16MiB\"".to_owned());
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err("has an unknown unit; units are B, KiB, MiB, GiB, as in \"16MiB\"".to_owned());
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    bytes.ok_or_else(|| "is too large".to_owned())
}

/// Writes a size with the largest unit that keeps it whole.
pub(crate) fn display(bytes: u64) -> String {
    let fitting = UNITS.iter().find(|(_, factor)| bytes.is_multiple_of(*factor) && bytes >= *factor);
    match fitting {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, bytes) in [
            ("0B", 0),
            ("1023B", 1023),
            ("1KiB", 1024),
            ("16MiB", 16 << 20),
            ("1025KiB", 1025 << 10),
            ("4GiB", 4 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes));
            assert_eq!(display(bytes), text);
        }
    }

    #[test]
    fn refuses_what_would_have_to_be_guessed() {
        for text in [
            "",
            "16",
            "16M",
            "16MB",
            "16mib",
            "1.5GiB",
            "-1B",
            " 1B",
            "1 B",
            "B",
            "99999999999999999999B",
            "18446744073709551615KiB",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
