//! What every report's cover says in the same words: which log, which window, and what could not be read.

use crate::instant;
use crate::json::Json;
use crate::question::Facts;
use crate::shape::Why;

/// The most sequence numbers of unreadable events that a cover names.
const UNREADABLE_MOST: usize = 10;

/// Writes which log the report is of, and when it was asked for.
pub fn write_log(json: &mut Json, facts: &Facts) {
    json.key("log").open('{');
    for (name, fact) in [("log_id", "log-id"), ("name", "log-name"), ("origin", "origin")] {
        json.key(name).text_or_null(facts.echo(fact));
    }
    json.close('}').key("asked_at").text_or_null(facts.echo("asked-at"));
}

/// Writes the window as it was asked for, and as it was understood.
pub fn write_window(json: &mut Json, facts: &Facts) {
    let instant = |micros: Option<i64>| {
        micros.map(|micros| instant::format(micros.clamp(instant::FIRST, instant::LAST)))
    };
    json.key("basis").text(facts.basis.name()).key("window").open('{');
    json.key("after").text_or_null(facts.echo("window-text-after"));
    json.key("before").text_or_null(facts.echo("window-text-before"));
    json.key("from").text_or_null(instant(facts.from).as_deref());
    json.key("to").text_or_null(instant(facts.to).as_deref());
    json.key("tz").text_or_null(facts.echo("tz")).close('}');
}

/// Writes how many events could not be read and why. Nobody can say what they were about, so callers give those of
/// the whole window, whatever was asked for: sequence numbers, ascending.
pub fn write_unreadable(json: &mut Json, events: impl Iterator<Item = (u64, Option<Why>)>) {
    let (mut count, mut first, mut why) = (0, Vec::new(), [0_u64; Why::ALL.len()]);
    for (sequence, reason) in events {
        count += 1;
        if first.len() < UNREADABLE_MOST {
            first.push(sequence);
        }
        if let Some(reason) = reason {
            why[reason as usize - 1] += 1;
        }
    }
    json.key("unreadable").number(count).key("unreadable_why").open('{');
    for (reason, count) in Why::ALL.into_iter().zip(why).filter(|(_, count)| *count > 0) {
        json.key(reason.name()).number(count);
    }
    json.close('}').key("unreadable_first").open('[');
    first.into_iter().for_each(|sequence| {
        json.number(sequence);
    });
    json.close(']');
}
