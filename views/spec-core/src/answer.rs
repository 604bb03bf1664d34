//! The answer: columns, rows, and the cover.

use std::cmp::Ordering;

use report_core::cover;
use report_core::json::Json;
use report_core::question::{Basis, Refusal};

use crate::asked::{shown, Asked};
use crate::bucket::Buckets;
use crate::cell::Cell;
use crate::condition::Ready;
use crate::groups::{buckets, gather, Group, Said};
use crate::matching::{Matched, Row, Sight};
use crate::sample::{draw, Drawn};
use crate::spec::{Constant, Key, Operation, Shape, Subject, Type};

/// A page ends early past this many bytes, and goes on in the next one.
const PAGE_BYTES: usize = 24 << 20;

/// How far the rows of an answer went.
struct Listed {
    total: u64,
    from: u64,
    given: u64,
}

/// Answers a question with a JSON text. Changes nothing.
pub fn answer(sight: &Sight, config_digest: &str) -> Result<String, Refusal> {
    let matched = sight.find();
    let mut json = Json::new();
    json.open('{').key("columns").open('[');
    for (name, kind) in columns(sight) {
        json.open('{').key("name").text(name).key("type").text(kind).close('}');
    }
    json.close(']').key("rows");
    let (listed, drawn) = match &sight.spec.shape {
        Shape::Rows { columns, sample } => {
            let (rows, drawn) = match sample {
                Some(sample) => {
                    let (rows, drawn) = draw(sight, &matched.rows, sample)?;
                    (rows, Some(drawn))
                }
                None => (matched.rows.clone(), None),
            };
            (write_rows(sight, rows, columns, &mut json), drawn)
        }
        Shape::Groups { .. } => (write_groups(sight, &matched, &mut json)?, None),
    };
    json.key("cover");
    write_cover(sight, &matched, &listed, drawn.as_ref(), config_digest, &mut json);
    json.close('}');
    Ok(json.finish())
}

fn columns<'s>(sight: &Sight<'s>) -> Vec<(&'s str, &'static str)> {
    let spec = sight.spec;
    let kind = |subject: Subject| match subject {
        Subject::Sequence => "integer",
        Subject::Time(_) => "time",
        Subject::Reads => "flag",
        Subject::Delay => "number",
        Subject::Value(at) => {
            let value = &spec.values[at];
            let any = value.member.is_none()
                || !value.paths.is_empty()
                || matches!(value.member, Some(crate::spec::Member::Before | crate::spec::Member::After));
            if any || spec.several(subject) {
                "any"
            } else {
                "text"
            }
        }
    };
    match &spec.shape {
        Shape::Rows { columns, .. } => {
            columns.iter().map(|(name, subject)| (name.as_str(), kind(*subject))).collect()
        }
        Shape::Groups { keys, aggregates, .. } => {
            let keys = keys.iter().map(|(name, key)| match key {
                Key::Value(subject) => (name.as_str(), kind(*subject)),
                Key::Bucket(..) => (name.as_str(), "text"),
            });
            let aggregates = aggregates.iter().map(|(name, operation, _)| {
                let kind = match operation {
                    Operation::CountEvents | Operation::CountRows | Operation::Distinct(_) => "integer",
                    Operation::Sum(_) => "number",
                    Operation::Latest(..) => "list",
                    other => other.subject().map_or("any", kind),
                };
                (name.as_str(), kind)
            });
            keys.chain(aggregates).collect()
        }
    }
}

/// Puts places in order as far as a page needs it: those of the page stand where they belong.
fn order(places: &mut [u32], from: usize, to: usize, compare: impl Fn(u32, u32) -> Ordering) {
    let whole = |one: &u32, other: &u32| compare(*one, *other).then_with(|| one.cmp(other));
    let to = to.min(places.len());
    if from >= to {
        return;
    }
    if to < places.len() {
        places.select_nth_unstable_by(to - 1, whole);
    }
    places[..to].sort_unstable_by(whole);
}

fn page(sight: &Sight, total: usize) -> (usize, usize) {
    let from = sight.asked.resume.map_or(0, |(given, _)| given);
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(total);
    (from, from.saturating_add(sight.asked.limit).min(total))
}

fn write_rows(sight: &Sight, rows: Vec<Row>, columns: &[(String, Subject)], json: &mut Json) -> Listed {
    let (from, to) = page(sight, rows.len());
    let texts = &sight.kept.texts;
    let mut places: Vec<u32> = (0..rows.len() as u32).collect();
    if !sight.spec.sort.is_empty() {
        order(&mut places, from, to, |one, other| {
            let cell = |place: u32, column: usize| sight.one(rows[place as usize], columns[column].1);
            compare(&sight.spec.sort, |column| cell(one, column).order(cell(other, column), texts))
        });
    }
    let write = |json: &mut Json, place: u32| {
        let row = rows[place as usize];
        for (_, subject) in columns {
            if sight.spec.several(*subject) {
                let cells = sight.all(row, *subject);
                match &cells[..] {
                    [one] => one.show(texts, None, json),
                    _ => show_list(&cells, sight, json),
                }
            } else {
                sight.one(row, *subject).show(texts, None, json);
            }
        }
    };
    write_page(json, &places, from, to, write)
}

fn show_list(cells: &[Cell], sight: &Sight, json: &mut Json) {
    json.open('[');
    cells.iter().for_each(|cell| cell.show(&sight.kept.texts, None, json));
    json.close(']');
}

fn compare(sort: &[(usize, bool)], column: impl Fn(usize) -> Ordering) -> Ordering {
    sort.iter().fold(Ordering::Equal, |so_far, (at, down)| {
        so_far.then_with(|| if *down { column(*at).reverse() } else { column(*at) })
    })
}

fn write_page(
    json: &mut Json,
    places: &[u32],
    from: usize,
    to: usize,
    write: impl Fn(&mut Json, u32),
) -> Listed {
    let mut listed = Listed { total: places.len() as u64, from: from as u64, given: 0 };
    let end = json.len() + PAGE_BYTES;
    json.open('[');
    for place in &places[from..to] {
        if listed.given > 0 && json.len() >= end {
            break;
        }
        json.open('[');
        write(json, *place);
        json.close(']');
        listed.given += 1;
    }
    json.close(']');
    listed
}

fn write_groups(sight: &Sight, matched: &Matched, json: &mut Json) -> Result<Listed, Refusal> {
    let Shape::Groups { keys, aggregates, having } = &sight.spec.shape else {
        return Err(Refusal::Failed("this report has no groups".to_owned()));
    };
    let buckets = buckets(sight, keys)?;
    let groups = gather(sight, &matched.rows, keys, &buckets, aggregates)?;
    let having = Ready::new(having, &sight.asked.values, &sight.kept.texts);
    let texts = &sight.kept.texts;
    let shown = |group: &Group| {
        having.as_ref().is_none_or(|having| {
            having.holds(&mut |column: usize, leaf| match &group[column] {
                Said::One(cell) => leaf.holds(*cell, texts),
                Said::List(cells) => leaf.holds_for_any(cells.iter().copied(), texts),
            })
        })
    };
    let groups: Vec<Group> = groups.into_iter().filter(shown).collect();
    let (from, to) = page(sight, groups.len());
    let mut places: Vec<u32> = (0..groups.len() as u32).collect();
    order(&mut places, from, to, |one, other| {
        compare(&sight.spec.sort, |column| {
            match (&groups[one as usize][column], &groups[other as usize][column]) {
                (Said::One(one), Said::One(other)) => one.order(*other, texts),
                _ => Ordering::Equal,
            }
        })
    });
    let write = |json: &mut Json, place: u32| {
        for (at, said) in groups[place as usize].iter().enumerate() {
            match said {
                Said::One(cell) => {
                    cell.show(texts, buckets.get(at).and_then(Option::<Buckets>::as_ref), json)
                }
                Said::List(cells) => show_list(cells, sight, json),
            }
        }
    };
    Ok(write_page(json, &places, from, to, write))
}

fn write_cover(
    sight: &Sight,
    matched: &Matched,
    listed: &Listed,
    drawn: Option<&Drawn>,
    config_digest: &str,
    json: &mut Json,
) {
    let facts = &sight.asked.facts;
    json.open('{');
    json.key("view").open('{').key("title").text(&sight.spec.title);
    json.key("version").text(env!("CARGO_PKG_VERSION")).key("config_sha256").text(config_digest).close('}');
    cover::write_log(json, facts);
    write_question(sight, json);
    cover::write_window(json, facts);
    write_counts(sight, matched, json);
    let (from, to) = if facts.basis == Basis::Occurred { (None, None) } else { (facts.from, facts.to) };
    let unreadable = sight.kept.unreadable.iter().filter(|one| {
        let time = i128::from(one.time);
        one.offset < sight.bound
            && from.is_none_or(|from| time >= i128::from(from))
            && to.is_none_or(|to| time < i128::from(to))
    });
    cover::write_unreadable(
        json,
        unreadable.map(|one| (sight.kept.first + u64::from(one.offset), Some(one.why))),
    );
    if let Some(drawn) = drawn {
        json.key("sample").open('{').key("size").number(drawn.size as u64);
        json.key("seed").text(&drawn.seed).key("population").number(drawn.population as u64).close('}');
    }
    let next = listed.from + listed.given;
    let more = next < listed.total;
    let last = (sight.kept.first + u64::from(sight.bound)).saturating_sub(1);
    json.key("rows").number(listed.total).key("rows_given").number(listed.given);
    json.key("truncated").raw(if more { "true" } else { "false" });
    json.key("next").text_or_null(more.then(|| sight.asked.cursor(next, last)).as_deref());
    json.close('}');
}

fn write_question(sight: &Sight, json: &mut Json) {
    json.key("question").open('{');
    for (parameter, values) in sight.spec.parameters.iter().zip(&sight.asked.values) {
        json.key(&parameter.name);
        if parameter.repeat {
            json.open('[');
            values.iter().for_each(|value| write_constant(value, parameter.kind, json));
            json.close(']');
        } else {
            match values.first() {
                Some(value) => write_constant(value, parameter.kind, json),
                None => {
                    json.raw("null");
                }
            }
        }
    }
    json.key("limit").number(sight.asked.limit as u64).close('}');
}

/// Writes a constant as JSON has it.
pub fn write_constant(constant: &Constant, kind: Type, json: &mut Json) {
    let words = shown(constant);
    match kind {
        Type::Text | Type::Time => json.text(&words),
        Type::Integer | Type::Number | Type::Flag => json.raw(&words),
    };
}

fn write_counts(sight: &Sight, matched: &Matched, json: &mut Json) {
    let kept = sight.kept;
    let folded =
        (sight.bound > 0).then_some((kept.first, (kept.first + u64::from(sight.bound)).saturating_sub(1)));
    json.key("events_folded").number(u64::from(sight.bound));
    json.key("first_folded").number_or_null(folded.map(|ends| ends.0));
    json.key("last_folded").number_or_null(folded.map(|ends| ends.1));
    json.key("events_matched").number(matched.events);
    json.key("first_matched").number_or_null(matched.ends.map(|ends| kept.sequence(ends.0)));
    json.key("last_matched").number_or_null(matched.ends.map(|ends| kept.sequence(ends.1)));
    json.key("rows_matched").number(matched.rows.len() as u64);
    if sight.asked.facts.basis == Basis::Occurred {
        json.key("without_time").number(matched.without_time);
    }
}

/// How many of the folded events an answer rests on: all, or up to the sequence number that the host or the cursor
/// says.
pub fn bound(kept: &crate::kept::Kept, asked: &Asked) -> Result<u32, Refusal> {
    let up_to =
        |last: u64| last.saturating_add(1).saturating_sub(kept.first).min(u64::from(kept.folded)) as u32;
    let at_most = asked.facts.at_sequence.map_or(kept.folded, up_to);
    match asked.resume {
        None => Ok(at_most),
        Some((_, last)) if last < kept.first + u64::from(at_most) => Ok(up_to(last)),
        Some((_, last)) => Err(Refusal::Invalid(format!(
            "That cursor rests on sequence {last}, which this answer does not reach; ask with min_sequence={last}."
        ))),
    }
}
