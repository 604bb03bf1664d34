//! The report: changes by resource, actions by actor, and the cover.

use crate::instant;
use crate::json::Json;
use crate::matching::find;
use crate::parties::Parties;
use crate::question::{Position, Question, Refusal};
use crate::state::State;
use crate::texts::{TextId, NO_TEXT};
use actions::Actions;
use changes::Changes;
use cover::Cover;

mod actions;
mod changes;
mod cover;

/// The view's title in covers and in its description.
pub const TITLE: &str = "Compliance report";
/// A list of an answer ends early past this many bytes, and goes on in the next page.
const LIST_BYTES: usize = 24 << 20;

/// No group yet.
const NONE: u32 = u32::MAX;

/// Answers a question with a JSON text. Changes nothing.
pub fn answer(state: &State, question: &Question) -> Result<String, Refusal> {
    let bound = bound(state, question)?;
    let matched = find(state, question, bound);
    let start = question.resume.map_or(Position::default(), |(position, _)| position);
    let mut json = Json::new();
    json.open('{').key("changes_by_resource");
    let rows = Changes::new(state, &matched).write(&mut json, start.rows, question.limit);
    json.key("actions_by_actor");
    let actors = Actions::new(state, &matched).write(&mut json, start.actors, question.limit);
    json.key("cover");
    Cover { state, question, matched: &matched, rows, actors }.write(&mut json);
    json.close('}');
    Ok(json.finish())
}

/// How many events the answer rests on: all, or up to the sequence number that the host or the cursor says.
fn bound(state: &State, question: &Question) -> Result<u32, Refusal> {
    let up_to =
        |last: u64| last.saturating_add(1).saturating_sub(state.first).min(u64::from(state.len())) as u32;
    let asked = question.facts.at_sequence.map_or(state.len(), up_to);
    match question.resume {
        None => Ok(asked),
        Some((_, last)) if last < state.sequence(asked) => Ok(up_to(last)),
        Some((_, last)) => Err(Refusal::Invalid(format!(
            "That cursor rests on sequence {last}, which this answer does not reach; ask with min_sequence={last}."
        ))),
    }
}

/// How far a list went.
#[derive(Clone, Copy)]
struct Listed {
    total: u64,
    from: u64,
    given: u64,
}

impl Listed {
    const fn next(self) -> u64 {
        self.from + self.given
    }

    const fn more(self) -> bool {
        self.next() < self.total
    }
}

fn time_text(micros: u64) -> String {
    instant::format(i64::try_from(micros).unwrap_or(i64::MAX).min(instant::LAST))
}

fn write_party(json: &mut Json, state: &State, parties: &Parties, party: u32, bound: u32, names: [&str; 3]) {
    let (kind, id) = parties.key(party);
    let told = |text: TextId| (text != NO_TEXT).then(|| state.texts.get(text));
    json.key(names[0]).text_or_null(told(id));
    json.key(names[1]).text_or_null(told(kind));
    json.key(names[2]).text_or_null(told(parties.name_at(party, bound)));
}
