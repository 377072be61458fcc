//! What the dump shows, and that it loads again as the same settings.

use proptest::prelude::*;

use super::try_load;

#[test]
fn every_value_has_its_source_beside_it() {
    let loaded = try_load(
        "queue:\n  claim-within: 90m\n",
        &[("LOCKKEEPER_EMBEDDED__CACHE_SIZE", "2048MiB")],
        &[("listen", "[::1]:0", "--listen")],
    )
    .unwrap();
    let dump = loaded.effective.dump();
    for line in [
        "listen: \"[::1]:0\"  # --listen",
        "store: embedded  # default",
        "  claim-within: 1h30m  # lockkeeper.yaml:2:17",
        "  cache-size: 2GiB  # environment LOCKKEEPER_EMBEDDED__CACHE_SIZE",
    ] {
        assert!(dump.lines().any(|found| found == line), "{line}\nin\n{dump}");
    }
    assert_eq!(try_load(&dump, &[], &[]).unwrap().settings, loaded.settings);
}

#[test]
fn a_source_cannot_break_out_of_its_comment() {
    let loaded = try_load("", &[], &[("http.workers", "2", "--workers\ninsecure: true #")]).unwrap();
    assert_eq!(try_load(&loaded.effective.dump(), &[], &[]).unwrap().settings, loaded.settings);
}

proptest! {
    #[test]
    fn texts_come_back_as_they_were(text in "\\PC{0,60}", path in "[-a-c${}:~#'\"\\\\%@`!&* \u{2028}\u{85}\u{feff}é]{1,30}") {
        let flags = [("default-host", &*text, "--host"), ("data-dir", &path, "--data-dir")];
        // Control characters are refused.
        if let Ok(loaded) = try_load("", &[], &flags) {
            let again = try_load(&loaded.effective.dump(), &[], &[]).unwrap().settings;
            prop_assert_eq!(again, loaded.settings);
        }
    }

    #[test]
    fn numbers_come_back_as_they_were(
        micros in 100_000u64..3_600_000_000,
        kib in 1024u64..4_194_304,
        size in 1u64..1_000_000,
    ) {
        let (abandon, cache, size) = (format!("{micros}us"), format!("{kib}KiB"), size.to_string());
        let flags =
            [("queue.abandon-after", &*abandon, "-a"), ("embedded.cache-size", &cache, "-c"), ("queue.max-size", &size, "-s")];
        let loaded = try_load("", &[], &flags).unwrap();
        prop_assert_eq!(loaded.settings.queue.abandon_after.as_micros(), micros);
        prop_assert_eq!(loaded.settings.embedded.cache_size as u64, kib << 10);
        let again = try_load(&loaded.effective.dump(), &[], &[]).unwrap().settings;
        prop_assert_eq!(again, loaded.settings);
    }

    #[test]
    fn no_file_makes_loading_panic(text in "(listen|http|max-wait|queue|redis|a|: |:\n  |\n|- |\\$\\{|\\}|\\$|\"|'|#| |5s|1|\\[|\\{|~|\t){0,25}") {
        let _ = try_load(&text, &[], &[]);
    }
}
