//! Measures the fold, a snapshot and some questions natively: `cargo run --release --example measure -- 1000000`.

use std::time::Instant;

use report_core::state::Payload;
use report_core::view::View;

fn event(number: u64) -> String {
    // Knuth's multiplier spreads the numbers; nothing random is needed.
    let mixed = number.wrapping_mul(2_654_435_761) >> 7;
    format!(
        r#"{{"type": "record.updated", "actor": "user_{:x}", "resource": "invoice_{}", "changes": {{"amount": [{}, {}]}}, "ip": "192.168.1.{}"}}"#,
        mixed % 10_000,
        mixed % 100_003,
        number % 5_000,
        number % 5_001,
        number % 256
    )
}

fn main() -> Result<(), String> {
    let count: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let payloads: Vec<String> = (1..=count).map(event).collect();
    let times: Vec<u64> = (0..count).map(|at| 1_735_689_600_000_000 + at * 7_000_000).collect();
    let mut view = View::init("", Vec::new())?;
    let start = Instant::now();
    for (batch, times) in
        payloads.chunks(1_000).zip(times.chunks(1_000)).enumerate().map(|(at, (p, t))| ((at, p), t))
    {
        let texts = batch.1.iter().map(|text| Payload::Text(text));
        view.append(batch.0 as u64 * 1_000 + 1, times, texts).map_err(|bad| bad.to_string())?;
    }
    let spent = start.elapsed();
    println!(
        "fold: {:.0} events/s, {:.3} µs an event",
        count as f64 / spent.as_secs_f64(),
        spent.as_secs_f64() * 1e6 / count as f64
    );
    if std::env::args().nth(2).as_deref() == Some("fold") {
        return Ok(());
    }
    ask(&view, "all", &[], &[])?;
    ask(&view, "one actor", &[("actor", "user_2a")], &[])?;
    ask(&view, "one resource", &[("resource", "invoice_2291")], &[])?;
    ask(&view, "a type", &[("type", "record.*")], &[])?;
    ask(&view, "a window", &[], &[("window-from", "1736000000000000"), ("window-to", "1736100000000000")])?;
    ask(&view, "occurred", &[], &[("basis", "occurred")])?;
    let start = Instant::now();
    let parts: Vec<String> = (0..).map_while(|part| view.snapshot(part)).collect();
    println!(
        "snapshot: {:?}, {} parts, {} bytes",
        start.elapsed(),
        parts.len(),
        parts.iter().map(String::len).sum::<usize>()
    );
    let start = Instant::now();
    let mut other = View::init("", Vec::new())?;
    for (at, part) in parts.iter().enumerate() {
        other.restore(at as u32, part, at + 1 == parts.len())?;
    }
    println!("restore: {:?}", start.elapsed());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmRSS")).for_each(|line| println!("{line}"));
    Ok(())
}

fn ask(view: &View, what: &str, params: &[(&str, &str)], facts: &[(&str, &str)]) -> Result<(), String> {
    let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let start = Instant::now();
    let answer = view.query(&own(params), "", &own(facts)).map_err(|refusal| format!("{refusal:?}"))?;
    println!("{what}: {:?}, {} bytes", start.elapsed(), answer.len());
    Ok(())
}
