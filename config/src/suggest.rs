//! "Did you mean …": the names nearest to one that does not exist.

/// The known name that was probably meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    // The same words in another order or with other separators, like `max_queue_size`.
    let words = sorted_words(&name);
    if let Some(same) = known.clone().find(|candidate| sorted_words(candidate) == words) {
        return Some(same);
    }
    // The last part alone, like `max-wait` outside of its section, if only one section has it.
    let mut within = known.clone().filter(|candidate| {
        candidate.rsplit_once('.').is_some_and(|(_, last)| last == name.rsplit('.').next().unwrap_or(&name))
    });
    if let (Some(only), None) = (within.next(), within.next()) {
        return Some(only);
    }
    // A third of the letters may be wrong; more is a guess.
    let limit = (name.chars().count() / 3).clamp(1, 4);
    known
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn sorted_words(name: &str) -> Vec<&str> {
    let mut words: Vec<&str> = name.split(['.', '-', '_']).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["listen", "data-dir", "queue.max-size", "http.max-wait", "http.workers", "max-timeout"];
        for (name, meant) in [
            ("lisen", Some("listen")),
            ("data_dir", Some("data-dir")),
            ("DATA-DIR", Some("data-dir")),
            ("max-queue-size", Some("queue.max-size")),
            ("queue-max-size", Some("queue.max-size")),
            ("workers", Some("http.workers")),
            ("htpp.workers", Some("http.workers")),
            ("timeout-max", Some("max-timeout")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }
}
