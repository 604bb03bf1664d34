//! Change rows, grouped by resource.

use super::{time_text, write_party, Listed, LIST_BYTES, NONE};
use crate::changes::cut;
use crate::instant;
use crate::json::Json;
use crate::matching::Matched;
use crate::parties::NOBODY;
use crate::state::{State, NO_TIME};
use crate::texts::{TextId, NO_TEXT};

/// One resource's rows.
struct Group {
    resource: u32,
    rows: u64,
    events: Vec<u32>,
}

/// Change rows, grouped by resource in the order of each one's first row.
pub struct Changes<'a> {
    state: &'a State,
    matched: &'a Matched,
    groups: Vec<Group>,
    group_of: Vec<u32>,
}

impl<'a> Changes<'a> {
    pub fn new(state: &'a State, matched: &'a Matched) -> Self {
        let group_of = vec![NONE; state.resources.len() as usize];
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

    pub fn write(mut self, json: &mut Json, from: u64, limit: usize) -> Listed {
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
        let rows =
            group.events.iter().flat_map(|event| (0..self.rows_each(*event)).map(|row| (*event, row as u32)));
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
        json.key("actor").text_or_null(told(state.actors.key(state.actor_of.get(event)).1));
        json.key("type").text_or_null(told(state.actions.get(state.action_of.get(event))));
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
