//! The state through the view's own functions: parts of snapshots, forms, and what must not change it.

use report_core::state::Payload;
use report_core::view::View;

const PART_MOST: usize = 16 << 20;

fn view(payloads: &[Payload], batch: usize) -> View {
    let mut view = View::init("", Vec::new()).expect("no settings");
    for (number, payloads) in payloads.chunks(batch).enumerate() {
        let times = vec![7; payloads.len()];
        let first = (number * batch) as u64 + 1;
        view.append(first, &times, payloads.iter().copied()).expect("batches follow each other");
    }
    view
}

fn parts(view: &mut View) -> Vec<String> {
    (0..).map_while(|number| view.snapshot(number)).collect()
}

fn restored(parts: &[String]) -> Result<View, String> {
    let mut view = View::init("", Vec::new())?;
    for (number, part) in parts.iter().enumerate() {
        view.restore(number as u32, part, number + 1 == parts.len())?;
    }
    Ok(view)
}

fn everything(view: &View) -> String {
    view.query(&[("limit".to_owned(), "10000".to_owned())], "", &[]).expect("a plain question")
}

/// Enough distinct values for a state of several parts.
fn large() -> Vec<String> {
    let value = "v".repeat(3_000);
    (0..9_000)
        .map(|n| {
            format!(r#"{{"type":"t","actor":"a{n}","resource":"r{n}","changes":{{"f":["{value}{n}",{n}]}}}}"#)
        })
        .collect()
}

#[test]
fn a_large_state_goes_through_several_parts() {
    let texts = large();
    let payloads: Vec<Payload> = texts.iter().map(|text| Payload::Text(text)).collect();
    let mut view = view(&payloads, 1_000);
    let all = parts(&mut view);
    assert!(all.len() > 2 && all.iter().all(|part| part.len() <= PART_MOST), "{} parts", all.len());
    assert_eq!(view.snapshot(all.len() as u32), None);
    assert_eq!(view.snapshot(1).as_ref(), all.get(1), "any part can be asked for again");
    let mut other = restored(&all).expect("our own parts");
    assert_eq!(everything(&other), everything(&view));
    assert_eq!(parts(&mut other), all);
    for broken in [vec![all[0].clone(), all[2].clone()], vec![all[1].clone()], all[..2].to_vec()] {
        assert!(restored(&broken).is_err());
    }
}

#[test]
fn the_greatest_event_fits_a_part() {
    let fields: Vec<String> = (0..60_000).map(|n| format!(r#""{n:x}":[{n},0]"#)).collect();
    let wide = format!(r#"{{"type":"t","changes":{{{}}}}}"#, fields.join(","));
    let ids: Vec<String> = (0..120_000).map(|n| format!(r#""{n:x}""#)).collect();
    let many = format!(r#"{{"type":"t","resource":[{}],"changes":{{"x":[1,2]}}}}"#, ids.join(","));
    assert!(wide.len() < 1 << 20 && many.len() < 1 << 20);
    let payloads: Vec<Payload> = (0..6).flat_map(|_| [Payload::Text(&wide), Payload::Text(&many)]).collect();
    let mut view = view(&payloads, 5);
    let all = parts(&mut view);
    assert!(all.iter().all(|part| part.len() <= PART_MOST));
    assert_eq!(everything(&restored(&all).expect("our own parts")), everything(&view));
}

#[test]
fn what_is_not_text_is_counted() {
    let view = view(&[Payload::Erased, Payload::NotUtf8, Payload::Text("{}"), Payload::Erased], 3);
    let answer: serde_json::Value = serde_json::from_str(&everything(&view)).expect("JSON");
    assert_eq!(answer["cover"]["unreadable"], 3);
    assert_eq!(answer["cover"]["unreadable_why"], serde_json::json!({"erased": 2, "not_utf8": 1}));
    assert_eq!(answer["cover"]["unreadable_first"], serde_json::json!([1, 2, 4]));
}

#[test]
fn a_refused_batch_changes_nothing() {
    let mut view = view(&[Payload::Text("{}")], 1);
    let before = everything(&view);
    let one = || [Payload::Text("{}")].into_iter();
    assert!(view.append(3, &[7], one()).is_err(), "a gap");
    assert!(view.append(1, &[7], one()).is_err(), "a repetition");
    assert!(view.append(2, &[6], one()).is_err(), "a time that decreases");
    assert!(view.append(2, &[7, 8], one()).is_err(), "a time too many");
    assert_eq!(everything(&view), before);
    assert!(view.append(2, &[7], one()).is_ok());
}

#[test]
fn snapshots_and_questions_change_nothing() {
    let texts = large();
    let payloads: Vec<Payload> = texts.iter().take(50).map(|text| Payload::Text(text)).collect();
    let mut disturbed = View::init("", Vec::new()).expect("no settings");
    for (number, payload) in payloads.iter().enumerate() {
        disturbed.append(number as u64 + 1, &[7], [*payload].into_iter()).expect("batches follow each other");
        everything(&disturbed);
        disturbed.snapshot(0);
        assert!(disturbed.restore(0, "nonsense", true).is_err());
    }
    let mut straight = view(&payloads, 50);
    assert_eq!(everything(&disturbed), everything(&straight));
    assert_eq!(parts(&mut disturbed), parts(&mut straight));
}
