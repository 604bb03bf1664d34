//! Who did what: how many actions each actor took, within a window of time.

use std::collections::BTreeMap;

use indelible_view::{export, to_iso, Answer, AuditView, Event, Mark, Object, Parameter, Question, Refusal};
use serde::{Deserialize, Serialize};

/// Keeps a row for each event, and counts those that a question asks for. Its fields are the state, and are kept
/// by themselves.
#[derive(Serialize, Deserialize)]
struct WhoDidWhat {
    rows: Vec<(Mark, Option<String>)>,
}

impl AuditView for WhoDidWhat {
    const TITLE: &'static str = "Who did what";
    const DESCRIPTION: &'static str = "Actions by actor, the busiest first.";

    fn parameters() -> Vec<Parameter> {
        vec![
            Parameter::text("actor").repeated().about("only this actor"),
            Parameter::whole("limit", 1, 10_000).default(1_000).about("the most rows"),
        ]
    }

    /// Start from nothing.
    fn init(_config: &Object) -> Result<Self, Refusal> {
        Ok(WhoDidWhat { rows: Vec::new() })
    }

    /// Keep who did it, and when. What is no JSON object is counted by itself, and skipped here.
    fn append(&mut self, event: &Event) -> Result<(), Refusal> {
        if event.readable() {
            self.rows.push((event.mark(), event.id(&["actor"]).map(str::to_owned)));
        }
        Ok(())
    }

    /// Count the events inside the window, by actor.
    fn query(&self, question: &mut Question) -> Result<Answer, Refusal> {
        let wanted = question.texts("actor").to_vec();
        let mut found: BTreeMap<&Option<String>, (u64, i64, i64)> = BTreeMap::new(); // actions, first and last time
        for (mark, actor) in &self.rows {
            let asked = wanted.is_empty() || actor.as_ref().is_some_and(|id| wanted.contains(id));
            if asked && question.matches(mark) {
                let count = found.entry(actor).or_insert((0, mark.time(), mark.time()));
                count.0 += 1;
                count.2 = mark.time();
            }
        }
        let mut busiest: Vec<_> = found.into_iter().collect(); // by actor, nobody first
        busiest.sort_by_key(|(_, (count, ..))| std::cmp::Reverse(*count));
        let rows: Vec<_> = busiest
            .into_iter()
            .map(|(actor, (count, first, last))| (actor, count, to_iso(first), to_iso(last)))
            .collect();
        let limit = question.whole("limit").unwrap_or(1_000) as usize;
        Ok(question.table(&["actor", "actions", "first", "last"], &rows, Some(limit)))
    }
}

export!(WhoDidWhat);
