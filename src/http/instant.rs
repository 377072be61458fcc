//! Instants as text: RFC 3339, UTC, milliseconds, `Z`.

use lockkeeper_core::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;

const MILLIS_PER_DAY: u64 = 86_400_000;
/// The last millisecond of the year 9999, the last that four digits can say.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// Shows an instant.
#[derive(Clone, Copy)]
pub(super) struct Instant(pub(super) Timestamp);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis().min(LAST_MILLIS);
        let (year, month, day) = civil(millis / MILLIS_PER_DAY);
        let rest = millis % MILLIS_PER_DAY;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |place: usize, width: usize, mut value: u64| {
            for digit in text[place..place + width].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, rest / 3_600_000);
        put(14, 2, rest / 60_000 % 60);
        put(17, 2, rest / 1000 % 60);
        put(20, 3, rest % 1000);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of a day since the epoch (Howard Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days since the epoch, the inverse of [`civil`]; the date must exist.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const EXPECTED: &str = "must be an RFC 3339 time like \"2026-01-31T12:00:00.000Z\"";

/// Reads an RFC 3339 time with any offset.
///
/// # Errors
/// What is expected.
pub(super) fn parse(text: &str) -> Result<Timestamp, &'static str> {
    read(text).ok_or(EXPECTED)
}

fn read(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let number = |from: usize, width: usize| -> Option<i64> {
        let digits = bytes.get(from..from + width)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    };
    let is = |place: usize, any: &[u8]| bytes.get(place).is_some_and(|byte| any.contains(byte));
    let separated = is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":");
    separated.then_some(())?;
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last_day = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last_day).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut place = 19;
    let mut micros = 0;
    if is(place, b".") {
        place += 1;
        let digits = bytes[place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let fraction = number(place, digits)?;
        // Parts of a microsecond are cut off.
        micros = fraction * 10_i64.pow(9 - digits as u32) / 1000;
        place += digits;
    }
    let (offset_minutes, end) = match bytes.get(place)? {
        b'Z' | b'z' => (0, place + 1),
        sign @ (b'+' | b'-') => {
            let (hours, minutes) = (number(place + 1, 2)?, number(place + 4, 2)?);
            if !is(place + 3, b":") || hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            (if *sign == b'-' { -offset } else { offset }, place + 6)
        }
        _ => return None,
    };
    if end != bytes.len() {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + (minute - offset_minutes) * 60 + second;
    u64::try_from(seconds * 1_000_000 + micros).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_and_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_826_154_007, "2000-02-29T12:09:14.007Z"),
            (1_790_000_000_123, "2026-09-21T14:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (LAST_MILLIS, "9999-12-31T23:59:59.999Z"),
        ] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Instant(at).to_string(), text);
            assert_eq!(parse(text), Ok(at), "{text}");
        }
        assert_eq!(Instant(Timestamp::NEVER).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_is_its_own() {
        for day in (0..2_900_000).step_by(61) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year as i64, month as i64, date as i64), day as i64);
        }
    }

    #[test]
    fn other_forms_of_rfc_3339_are_read() {
        let expected = parse("2026-01-02T03:04:05.600Z");
        for text in [
            "2026-01-02T03:04:05.6Z",
            "2026-01-02t03:04:05.600000000z",
            "2026-01-02T05:34:05.6+02:30",
            "2026-01-01T22:04:05.6-05:00",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "1790000000",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:60:00Z",
            "2026-01-02T03:04:60Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05+0200",
            "2026-01-02T03:04:05Z ",
            "1969-12-31T23:59:59Z",
            "2026-01-02T03:04:05é",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
