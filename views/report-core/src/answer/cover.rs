//! The cover: what was asked, and what the answer rests on.

use super::{Listed, TITLE};
use crate::cover;
use crate::json::Json;
use crate::matching::Matched;
use crate::question::{cursor, Basis, Position, Question};
use crate::state::State;

/// What the report covers.
pub struct Cover<'a> {
    pub state: &'a State,
    pub question: &'a Question,
    pub matched: &'a Matched,
    pub rows: Listed,
    pub actors: Listed,
}

impl Cover<'_> {
    pub fn write(&self, json: &mut Json) {
        json.open('{');
        json.key("view").open('{').key("title").text(TITLE);
        json.key("version").text(env!("CARGO_PKG_VERSION")).close('}');
        cover::write_log(json, &self.question.facts);
        self.write_question(json);
        cover::write_window(json, &self.question.facts);
        self.write_counts(json);
        self.write_unreadable(json);
        self.write_listed(json);
        json.close('}');
    }

    fn write_question(&self, json: &mut Json) {
        let asked = self.question;
        json.key("question").open('{');
        for (name, list) in
            [("actor", &asked.actors), ("resource", &asked.resources), ("type", &asked.actions)]
        {
            json.key(name).open('[');
            list.iter().for_each(|text| {
                json.text(text);
            });
            json.close(']');
        }
        json.key("limit").number(asked.limit as u64).close('}');
    }

    fn write_counts(&self, json: &mut Json) {
        let (state, matched) = (self.state, self.matched);
        let sequence = |event: Option<u32>| event.map(|event| state.sequence(event));
        json.key("events_folded").number(u64::from(matched.bound));
        json.key("first_folded").number_or_null(sequence((matched.bound > 0).then_some(0)));
        json.key("last_folded").number_or_null(sequence(matched.bound.checked_sub(1)));
        json.key("events_matched").number(matched.events.len() as u64);
        json.key("first_matched").number_or_null(sequence(matched.events.iter().copied().min()));
        json.key("last_matched").number_or_null(sequence(matched.events.iter().copied().max()));
        let reads = matched.events.iter().filter(|event| state.marks.get(**event).only_reads()).count();
        json.key("only_reads").number(reads as u64);
        if self.question.facts.basis == Basis::Occurred {
            json.key("without_time").number(matched.without_time);
        }
    }

    fn write_unreadable(&self, json: &mut Json) {
        let (from, to) = self.matched.window;
        let all = &self.state.unreadable;
        let within = all.partition_point(|event| event < from)..all.partition_point(|event| event < to);
        let events = within.map(|at| all.get(at));
        cover::write_unreadable(
            json,
            events.map(|event| (self.state.sequence(event), self.state.marks.get(event).why())),
        );
    }

    fn write_listed(&self, json: &mut Json) {
        for (names, listed) in
            [(["rows", "rows_given"], self.rows), (["actors", "actors_given"], self.actors)]
        {
            json.key(names[0]).number(listed.total).key(names[1]).number(listed.given);
        }
        let truncated = self.rows.more() || self.actors.more();
        let next = truncated.then(|| {
            let position = Position { rows: self.rows.next(), actors: self.actors.next() };
            cursor(self.question, position, self.state.sequence(self.matched.bound).saturating_sub(1))
        });
        json.key("truncated")
            .raw(if truncated { "true" } else { "false" })
            .key("next")
            .text_or_null(next.as_deref());
    }
}
