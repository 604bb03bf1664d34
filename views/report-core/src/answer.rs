//! The report: changes by resource, actions by actor, and the cover.

use crate::changes::cut;
use crate::instant;
use crate::json::Json;
use crate::matching::{find, Matched};
use crate::parties::{Parties, NOBODY};
use crate::question::{cursor, Basis, Position, Question, Refusal};
use crate::shape::Why;
use crate::state::{State, NO_TIME};
use crate::texts::{TextId, NO_TEXT};

/// The view's title in covers and in its description.
pub const TITLE: &str = "Compliance report";
/// A list of an answer ends early past this many bytes, and goes on in the next page.
const LIST_BYTES: usize = 24 << 20;
/// The most types of action that are listed for one actor.
const TYPES_MOST: usize = 100;
/// The most sequence numbers of unreadable events that a cover names.
const UNREADABLE_MOST: usize = 10;

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
    let up_to = |last: u64| last.saturating_add(1).saturating_sub(state.first).min(u64::from(state.len())) as u32;
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
    let (kind, id) = parties.keys.get(party);
    let told = |text: TextId| (text != NO_TEXT).then(|| state.texts.get(text));
    json.key(names[0]).text_or_null(told(id));
    json.key(names[1]).text_or_null(told(kind));
    json.key(names[2]).text_or_null(told(parties.name_at(party, bound)));
}

/// One resource's rows.
struct Group {
    resource: u32,
    rows: u64,
    events: Vec<u32>,
}

/// Change rows, grouped by resource in the order of each one's first row.
struct Changes<'a> {
    state: &'a State,
    matched: &'a Matched,
    groups: Vec<Group>,
    group_of: Vec<u32>,
}

impl<'a> Changes<'a> {
    fn new(state: &'a State, matched: &'a Matched) -> Self {
        let group_of = vec![NONE; state.resources.keys.len() as usize];
        let mut changes = Self { state, matched, groups: Vec::new(), group_of };
        for event in &matched.events {
            let rows = changes.rows_each(*event);
            for resource in changes.resources(*event) {
                changes.count(resource, rows);
            }
        }
        changes
    }

    fn count(&mut self, resource: u32, rows: u64) {
        let slot = &mut self.group_of[resource as usize];
        if *slot == NONE {
            *slot = self.groups.len() as u32;
            self.groups.push(Group { resource, rows: 0, events: Vec::new() });
        }
        self.groups[*slot as usize].rows += rows;
    }

    /// The resources under which an event has rows.
    fn resources(&self, event: u32) -> impl Iterator<Item = u32> + 'a {
        let (state, wanted) = (self.state, self.matched.resources.as_ref());
        let reads = state.marks.get(event).only_reads();
        let named = state.touched(event).filter(move |at| wanted.is_none_or(|set| set[*at as usize]));
        let nameless = state.touched(event).next().is_none() && !state.changed(event).is_empty();
        nameless.then_some(NOBODY).into_iter().chain(named).filter(move |_| !reads)
    }

    /// One row a field, or one for an event that tells none.
    fn rows_each(&self, event: u32) -> u64 {
        self.state.changed(event).len().max(1) as u64
    }

    fn write(mut self, json: &mut Json, from: u64, limit: usize) -> Listed {
        let total = self.groups.iter().map(|group| group.rows).sum();
        self.gather(from, from.saturating_add(limit as u64));
        let mut listed = Listed { total, from, given: 0 };
        let end = json.len() + LIST_BYTES;
        json.open('[');
        let mut skip = from;
        for group in &self.groups {
            if skip >= group.rows {
                skip -= group.rows;
            } else if (listed.given as usize) < limit && json.len() < end {
                listed.given += self.write_group(json, group, skip, limit - listed.given as usize, end);
                skip = 0;
            }
        }
        json.close(']');
        listed
    }

    /// Gives the groups with rows in the range [from, to) their events.
    fn gather(&mut self, from: u64, to: u64) {
        let mut row = 0;
        let mut within = vec![false; self.groups.len()];
        for (group, within) in self.groups.iter().zip(&mut within) {
            *within = row < to && row + group.rows > from;
            row += group.rows;
        }
        for event in &self.matched.events {
            for resource in self.resources(*event) {
                let group = self.group_of[resource as usize] as usize;
                if within[group] {
                    self.groups[group].events.push(*event);
                }
            }
        }
    }

    fn write_group(&self, json: &mut Json, group: &Group, skip: u64, most: usize, end: usize) -> u64 {
        json.open('{');
        let names = ["resource", "resource_type", "name"];
        write_party(json, self.state, &self.state.resources, group.resource, self.matched.bound, names);
        json.key("count").number(group.rows).key("changes").open('[');
        let rows = group.events.iter().flat_map(|event| (0..self.rows_each(*event)).map(|row| (*event, row as u32)));
        let mut given = 0;
        for (event, row) in rows.skip(skip as usize).take(most) {
            if given > 0 && json.len() >= end {
                break;
            }
            self.write_row(json, event, row);
            given += 1;
        }
        json.close(']').close('}');
        given
    }

    fn write_row(&self, json: &mut Json, event: u32, row: u32) {
        let state = self.state;
        json.open('{').key("sequence").number(state.sequence(event));
        json.key("time").text(&time_text(state.times.get(event)));
        if state.occurred.get(event) != NO_TIME {
            json.key("occurred_at").text(&instant::format(state.occurred.get(event)));
        }
        let told = |text: TextId| (text != NO_TEXT).then(|| state.texts.get(text));
        json.key("actor").text_or_null(told(state.actors.keys.get(state.actor_of.get(event)).1));
        json.key("type").text_or_null(told(state.actions.get(state.action_of.get(event)).1));
        if let Some(outcome) = told(state.outcome_of.get(event)) {
            json.key("outcome").text(outcome);
        }
        let fields = state.changed(event);
        let changed = (!fields.is_empty()).then(|| state.changed.get(fields.start + row));
        json.key("field").text_or_null(changed.and_then(|changed| told(changed.field)));
        if let Some(changed) = changed {
            write_value(json, ["before", "before_cut"], told(changed.before));
            write_value(json, ["after", "after_cut"], told(changed.after));
        }
        json.close('}');
    }
}

fn write_value(json: &mut Json, names: [&str; 2], value: Option<&str>) {
    match value.map(|value| (cut(value), value)) {
        Some((Some((bytes, begins)), _)) => {
            json.key(names[1]).open('{').key("bytes").raw(bytes).key("begins").text(begins).close('}');
        }
        Some((None, value)) => {
            json.key(names[0]).raw(value);
        }
        None => {}
    }
}

/// One actor's events, as a run in `Actions::events`.
struct Actor {
    actor: u32,
    actions: u32,
    start: u32,
}

/// Actions counted by actor: the busiest first, then whoever acted first.
struct Actions<'a> {
    state: &'a State,
    bound: u32,
    actors: Vec<Actor>,
    events: Vec<u32>,
}

impl<'a> Actions<'a> {
    fn new(state: &'a State, matched: &'a Matched) -> Self {
        let mut slot_of = vec![NONE; state.actors.keys.len() as usize];
        let mut actors: Vec<Actor> = Vec::new();
        for event in &matched.events {
            let actor = state.actor_of.get(*event);
            let slot = &mut slot_of[actor as usize];
            if *slot == NONE {
                *slot = actors.len() as u32;
                actors.push(Actor { actor, actions: 0, start: 0 });
            }
            actors[*slot as usize].actions += 1;
        }
        let mut start = 0;
        for actor in &mut actors {
            actor.start = start;
            start += actor.actions;
        }
        let mut next: Vec<u32> = actors.iter().map(|actor| actor.start).collect();
        let mut events = vec![0; matched.events.len()];
        for event in &matched.events {
            let place = &mut next[slot_of[state.actor_of.get(*event) as usize] as usize];
            events[*place as usize] = *event;
            *place += 1;
        }
        actors.sort_by(|one, other| other.actions.cmp(&one.actions));
        Self { state, bound: matched.bound, actors, events }
    }

    fn write(&self, json: &mut Json, from: u64, limit: usize) -> Listed {
        let mut listed = Listed { total: self.actors.len() as u64, from, given: 0 };
        let mut tally = Tally::new(self.state);
        let end = json.len() + LIST_BYTES;
        json.open('[');
        for actor in self.actors.iter().skip(from as usize).take(limit) {
            if listed.given > 0 && json.len() >= end {
                break;
            }
            self.write_actor(json, actor, &mut tally);
            listed.given += 1;
        }
        json.close(']');
        listed
    }

    fn write_actor(&self, json: &mut Json, actor: &Actor, tally: &mut Tally) {
        let state = self.state;
        let events = &self.events[actor.start as usize..(actor.start + actor.actions) as usize];
        // Sequence decides what is first and last: receipt is what is proved, and follows it.
        let (first, last) = (events.iter().min(), events.iter().max());
        let (types, resources) = tally.count(state, events);
        json.open('{');
        write_party(json, state, &state.actors, actor.actor, self.bound, ["actor", "actor_type", "name"]);
        json.key("actions").number(u64::from(actor.actions)).key("by_type").open('[');
        for (action, actions) in types.iter().take(TYPES_MOST) {
            let text = state.actions.get(*action).1;
            json.open('{').key("type").text_or_null((text != NO_TEXT).then(|| state.texts.get(text)));
            json.key("actions").number(u64::from(*actions)).close('}');
        }
        json.close(']').key("types").number(types.len() as u64).key("resources").number(u64::from(resources));
        let times = |event: Option<&u32>| event.map(|event| (state.sequence(*event), time_text(state.times.get(*event))));
        for (names, end) in [(["first_sequence", "first_time"], times(first)), (["last_sequence", "last_time"], times(last))] {
            json.key(names[0]).number_or_null(end.as_ref().map(|end| end.0));
            json.key(names[1]).text_or_null(end.as_ref().map(|end| end.1.as_str()));
        }
        json.close('}');
    }
}

/// Counts within one actor's events; its vectors serve actor after actor.
struct Tally {
    of_type: Vec<u32>,
    seen_by: Vec<u32>,
    round: u32,
}

impl Tally {
    fn new(state: &State) -> Self {
        let of_type = vec![0; state.actions.len() as usize];
        Self { of_type, seen_by: vec![0; state.resources.keys.len() as usize], round: 0 }
    }

    /// Types with their counts, the most frequent first and then by name, and how many resources were named.
    fn count(&mut self, state: &State, events: &[u32]) -> (Vec<(u32, u32)>, u32) {
        self.round += 1;
        let (mut types, mut resources) = (Vec::new(), 0);
        for event in events {
            let action = state.action_of.get(*event);
            if self.of_type[action as usize] == 0 {
                types.push((action, 0));
            }
            self.of_type[action as usize] += 1;
            for resource in state.touched(*event) {
                let seen = std::mem::replace(&mut self.seen_by[resource as usize], self.round);
                resources += u32::from(seen != self.round);
            }
        }
        for (action, count) in &mut types {
            *count = std::mem::take(&mut self.of_type[*action as usize]);
        }
        let name = |action: u32| state.texts.get(state.actions.get(action).1);
        types.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| name(one.0).cmp(name(other.0))));
        (types, resources)
    }
}

/// What the report covers.
struct Cover<'a> {
    state: &'a State,
    question: &'a Question,
    matched: &'a Matched,
    rows: Listed,
    actors: Listed,
}

impl Cover<'_> {
    fn write(&self, json: &mut Json) {
        json.open('{');
        json.key("view").open('{').key("title").text(TITLE);
        json.key("version").text(env!("CARGO_PKG_VERSION")).close('}');
        self.write_log(json);
        self.write_question(json);
        self.write_window(json);
        self.write_counts(json);
        self.write_unreadable(json);
        self.write_listed(json);
        json.close('}');
    }

    fn echo(&self, name: &str) -> Option<&str> {
        self.question.facts.echo(name)
    }

    fn write_log(&self, json: &mut Json) {
        json.key("log").open('{');
        for (name, fact) in [("log_id", "log-id"), ("name", "log-name"), ("origin", "origin")] {
            json.key(name).text_or_null(self.echo(fact));
        }
        json.close('}').key("asked_at").text_or_null(self.echo("asked-at"));
    }

    fn write_question(&self, json: &mut Json) {
        let asked = self.question;
        json.key("question").open('{');
        for (name, list) in [("actor", &asked.actors), ("resource", &asked.resources), ("type", &asked.actions)] {
            json.key(name).open('[');
            list.iter().for_each(|text| {
                json.text(text);
            });
            json.close(']');
        }
        json.key("limit").number(asked.limit as u64).close('}');
    }

    fn write_window(&self, json: &mut Json) {
        let facts = &self.question.facts;
        let instant = |micros: Option<i64>| micros.map(|micros| instant::format(micros.clamp(instant::FIRST, instant::LAST)));
        json.key("basis").text(facts.basis.name()).key("window").open('{');
        json.key("after").text_or_null(self.echo("window-text-after"));
        json.key("before").text_or_null(self.echo("window-text-before"));
        json.key("from").text_or_null(instant(facts.from).as_deref());
        json.key("to").text_or_null(instant(facts.to).as_deref());
        json.key("tz").text_or_null(self.echo("tz")).close('}');
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

    /// Nobody can say what an unreadable event was about, so those of the whole window count, whatever was
    /// asked for.
    fn write_unreadable(&self, json: &mut Json) {
        let (from, to) = self.matched.window;
        let all = &self.state.unreadable;
        let within = all.partition_point(|event| event < from)..all.partition_point(|event| event < to);
        let mut why = [0_u64; Why::ALL.len()];
        for at in within.clone() {
            if let Some(reason) = self.state.marks.get(all.get(at)).why() {
                why[reason as usize - 1] += 1;
            }
        }
        json.key("unreadable").number(within.len() as u64).key("unreadable_why").open('{');
        for (reason, count) in Why::ALL.into_iter().zip(why).filter(|(_, count)| *count > 0) {
            json.key(reason.name()).number(count);
        }
        json.close('}').key("unreadable_first").open('[');
        within.take(UNREADABLE_MOST).for_each(|at| {
            json.number(self.state.sequence(all.get(at)));
        });
        json.close(']');
    }

    fn write_listed(&self, json: &mut Json) {
        for (names, listed) in [(["rows", "rows_given"], self.rows), (["actors", "actors_given"], self.actors)] {
            json.key(names[0]).number(listed.total).key(names[1]).number(listed.given);
        }
        let truncated = self.rows.more() || self.actors.more();
        let next = truncated.then(|| {
            let position = Position { rows: self.rows.next(), actors: self.actors.next() };
            cursor(self.question, position, self.state.sequence(self.matched.bound).saturating_sub(1))
        });
        json.key("truncated").raw(if truncated { "true" } else { "false" }).key("next").text_or_null(next.as_deref());
    }
}
