//! Comparing outputs up to what differs from run to run.

/// The first difference between what is shown and what was printed, in words.
pub(super) fn differs(shown: &str, printed: &str) -> Option<String> {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(plain).skip_while(String::is_empty).collect::<Vec<_>>()
    };
    let (mut shown, mut printed) = (lines(shown), lines(printed));
    for lines in [&mut shown, &mut printed] {
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
    }
    compare(&shown, &printed)
}

fn compare(shown: &[String], printed: &[String]) -> Option<String> {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => None,
        (Some((first, rest)), _) if first == "…" => {
            // The shortest gap after which the rest fits.
            let fits = (0..=printed.len()).any(|skip| compare(rest, &printed[skip..]).is_none());
            (!fits).then(|| format!("nothing after the gap fits: {rest:?}"))
        }
        (Some((wanted, shown)), Some((is, printed))) => {
            if wanted == is {
                compare(shown, printed)
            } else {
                Some(format!("shown:   {wanted}\nprinted: {is}"))
            }
        }
        (Some((wanted, _)), None) => Some(format!("shown and not printed: {wanted}")),
        (None, Some((is, _))) => Some(format!("printed and not shown: {is}")),
    }
}

/// A line with placeholders for what no two runs share, and one space for any space: columns are as
/// wide as what is in them.
pub(super) fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = time(rest) {
            text.push_str("TIME");
            rest = &rest[length..];
        } else if first.is_ascii_alphanumeric() {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | 'µ')))
                .unwrap_or(rest.len());
            let word = rest[..end].trim_end_matches(['.', '-', '_']);
            text.push_str(placeholder(word).unwrap_or(word));
            rest = &rest[word.len()..];
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    let text = text.replace("just now", "DURATION ago");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Bytes of a time at the beginning of a text: RFC 3339 in UTC, with or without fractions.
fn time(text: &str) -> Option<usize> {
    let form = b"0000-00-00T00:00:00";
    let fits = |is: &u8, form: &u8| if *form == b'0' { is.is_ascii_digit() } else { is == form };
    let bytes = text.as_bytes();
    if bytes.len() < form.len() || !bytes.iter().zip(form).all(|(is, form)| fits(is, form)) {
        return None;
    }
    let rest = &text[form.len()..];
    let fraction =
        rest.strip_prefix('.').map_or(0, |digits| 1 + digits.bytes().take_while(u8::is_ascii_digit).count());
    rest[fraction..].starts_with('Z').then_some(form.len() + fraction + 1)
}

fn placeholder(word: &str) -> Option<&'static str> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if word.len() == 26 && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        return Some("ULID");
    }
    if word.len() >= 12 && is_digits(word) {
        return Some("TOKEN");
    }
    if word.len() >= 12 && is_hex(word) {
        return Some("HEX");
    }
    if let Some((instance, sequence)) = word.rsplit_once('.')
        && is_digits(sequence)
        && instance.rsplit_once('-').is_some_and(|(_, run)| run.len() >= 8 && is_hex(run))
    {
        return Some("EVENT");
    }
    duration(word).then_some("DURATION")
}

/// `29m59.998s`, `450ms`, `2d4h`.
fn duration(word: &str) -> bool {
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        if digits == 0 {
            return false;
        }
        rest = &rest[digits..];
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h", "d"].into_iter().find(|unit| {
            rest.strip_prefix(unit)
                .is_some_and(|after| after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit()))
        });
        match unit {
            Some(unit) => rest = &rest[unit.len()..],
            None => return false,
        }
    }
    !word.is_empty()
}

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    for (line, expected) in [
        ("lock 01ARZ3NDEKTSV4RRFFQ69G5FAV.", "lock ULID."),
        ("\"fencing_token\":1795232897356004,", "\"fencing_token\":TOKEN,"),
        ("\"id\":\"5c46aa85a93eccf1\"", "\"id\":\"HEX\""),
        ("since 2026-11-21T03:48:28.274Z (8.933ms), in 29m59s.", "since TIME (DURATION), in DURATION."),
        ("at 2026-11-21T03:48:28Z", "at TIME"),
        ("me  3s ago   just now", "me DURATION ago DURATION ago"),
        ("acme/infra#42:run:0123456789ab", "acme/infra#42:run:HEX"),
        ("id: my-host-19b2c3d4e5f.17", "id: EVENT"),
        ("version 0.1.0 of 3 locks, 20 ms, v1", "version 0.1.0 of 3 locks, 20 ms, v1"),
        ("acme/infra:net/vpc:prod", "acme/infra:net/vpc:prod"),
        ("--ttl 30m 5m. 1h30m 2d4h", "--ttl DURATION DURATION. DURATION DURATION"),
    ] {
        assert_eq!(plain(line), expected);
    }
}
