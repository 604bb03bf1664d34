//! The scanner accepts what `serde_json` accepts, and cuts and reads it the same.

use proptest::prelude::*;
use report_core::scan::{decode, Scanner};
use serde_json::value::RawValue;

/// Whether all of a text is one JSON value, and where it stands.
fn scanned(text: &str) -> Option<&str> {
    let mut scanner = Scanner::new(text);
    let piece = scanner.value().ok()?;
    scanner.end().ok().map(|()| piece)
}

fn expected(text: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
}

/// Texts that are JSON nearly everywhere, which is where readers differ.
fn almost_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just(" \n".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"k\":".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
        "\"[ -~é\t]{0,12}\"",
        "\\\\[a-z\"]",
        "\\\\u[0-9a-fA-F]{3,4}",
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    leaf.prop_recursive(80, 120, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[ {} ]", all.join(" ,\t"))),
            prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|all| {
                let all: Vec<String> = all
                    .into_iter()
                    .map(|(name, value)| format!("{}\r:{value}", serde_json::Value::from(name)))
                    .collect();
                format!("{{{}\n}}", all.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_almost_json_is_judged_the_same(text in almost_json()) {
        prop_assert_eq!(scanned(&text), expected(&text));
    }

    #[test]
    fn any_bytes_are_judged_the_same(text in any::<String>()) {
        prop_assert_eq!(scanned(&text), expected(&text));
    }

    #[test]
    fn json_is_accepted_and_a_damaged_one_judged_the_same(text in json(), at in any::<prop::sample::Index>(), byte in 0_u8..0x80) {
        prop_assert_eq!(scanned(&text), Some(text.trim()));
        let mut damaged = text.clone().into_bytes();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if let Ok(damaged) = String::from_utf8(damaged) {
            prop_assert_eq!(scanned(&damaged), expected(&damaged), "{:?}", damaged);
        }
        prop_assert_eq!(scanned(&text[..text.len() - 1]).is_some(), expected(&text[..text.len() - 1]).is_some());
    }

    #[test]
    fn strings_mean_the_same(inner in "([ -~é😀]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude00){0,12}") {
        let text = format!("\"{inner}\"");
        if let Some(piece) = expected(&text) {
            let meant = serde_json::from_str::<String>(piece).ok();
            prop_assert_eq!(decode(piece).ok().flatten().map(|text| text.into_owned()), meant);
        }
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = 1 << 20;
    assert_eq!(scanned(&"[".repeat(deep)), None);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let text = format!("{}1{}", open.repeat(deep), close.repeat(deep));
        assert_eq!(scanned(&text), Some(text.as_str()));
        assert_eq!(scanned(&text[..text.len() - 1]), None);
        assert_eq!(scanned(&format!("{text}{close}")), None);
    }
}
