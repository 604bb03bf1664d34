//! Actions, counted by actor.

use super::{time_text, write_party, Listed, LIST_BYTES, NONE};
use crate::json::Json;
use crate::matching::Matched;
use crate::state::State;
use crate::texts::NO_TEXT;

/// The most types of action that are listed for one actor.
const TYPES_MOST: usize = 100;

/// One actor's events, as a run in `Actions::events`.
struct Actor {
    actor: u32,
    actions: u32,
    start: u32,
}

/// Actions counted by actor: the busiest first, then whoever acted first.
pub struct Actions<'a> {
    state: &'a State,
    bound: u32,
    actors: Vec<Actor>,
    events: Vec<u32>,
}

impl<'a> Actions<'a> {
    pub fn new(state: &'a State, matched: &'a Matched) -> Self {
        let mut slot_of = vec![NONE; state.actors.len() as usize];
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
        actors.sort_by_key(|actor| std::cmp::Reverse(actor.actions));
        Self { state, bound: matched.bound, actors, events }
    }

    pub fn write(&self, json: &mut Json, from: u64, limit: usize) -> Listed {
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
            let text = state.actions.get(*action);
            json.open('{').key("type").text_or_null((text != NO_TEXT).then(|| state.texts.get(text)));
            json.key("actions").number(u64::from(*actions)).close('}');
        }
        json.close(']').key("types").number(types.len() as u64).key("resources").number(u64::from(resources));
        let times = |event: Option<&u32>| {
            event.map(|event| (state.sequence(*event), time_text(state.times.get(*event))))
        };
        for (names, end) in
            [(["first_sequence", "first_time"], times(first)), (["last_sequence", "last_time"], times(last))]
        {
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
        Self { of_type, seen_by: vec![0; state.resources.len() as usize], round: 0 }
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
        let name = |action: u32| state.texts.get(state.actions.get(action));
        types.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| name(one.0).cmp(name(other.0))));
        (types, resources)
    }
}
