//! Which events a question is about.

use crate::parties::Parties;
use crate::question::{Basis, Question};
use crate::state::{State, NO_TIME};
use crate::texts::NO_TEXT;

/// The events that a question is about.
pub struct Matched {
    /// Their indexes, in the order of the time that the question goes by.
    pub events: Vec<u32>,
    /// How many would be among them if they claimed a time; only where the question goes by that.
    pub without_time: u64,
    /// The resources that were asked for, by number; None asks for all.
    pub resources: Option<Vec<bool>>,
    /// The events below this index are what the answer rests on.
    pub bound: u32,
    /// The window of receipt as indexes; everything below `bound` where the question goes by claimed time.
    pub window: (u32, u32),
}

/// Numbers as a set.
fn set(numbers: &[u32], len: u32) -> Vec<bool> {
    let mut set = vec![false; len as usize];
    numbers.iter().for_each(|number| set[*number as usize] = true);
    set
}

/// Finds them. `bound` is how many of the folded events the answer rests on.
pub fn find(state: &State, question: &Question, bound: u32) -> Matched {
    let window = received_window(state, question, bound);
    let actors = called(&question.actors, |text| state.actors.called(&state.texts, text));
    let resources = called(&question.resources, |text| state.resources.called(&state.texts, text));
    let filter = Filter {
        state,
        actors: actors.as_deref().map(|all| set(all, state.actors.len())),
        resources: resources.as_deref().map(|all| set(all, state.resources.len())),
        actions: actions(state, question),
    };
    let by_actor = actors.map(|all| Chains { parties: &state.actors, all });
    let by_resource = resources.map(|all| Chains { parties: &state.resources, all });
    let shortest = [by_actor, by_resource].into_iter().flatten().min_by_key(Chains::len);
    // A short window is quicker to look through than a long chain that reaches back to it.
    let candidates = match shortest.filter(|chains| chains.len() < u64::from(window.1 - window.0)) {
        Some(chains) => chains.events(window),
        None => (window.0..window.1).collect(),
    };
    let events = candidates.into_iter().filter(|event| filter.passes(*event)).collect();
    let (events, without_time) = match question.facts.basis {
        Basis::Received => (events, 0),
        Basis::Occurred => by_claimed_time(state, question, events),
    };
    Matched { events, without_time, resources: filter.resources, bound, window }
}

fn received_window(state: &State, question: &Question, bound: u32) -> (u32, u32) {
    if question.facts.basis == Basis::Occurred {
        return (0, bound);
    }
    let at =
        |instant: i64| state.times.partition_point(|time| i128::from(time) < i128::from(instant)).min(bound);
    let to = question.facts.to.map_or(bound, at);
    (question.facts.from.map_or(0, at).min(to), to)
}

/// The parties that any of the texts means, or None where none is given.
fn called(texts: &[String], find: impl Fn(&str) -> Vec<u32>) -> Option<Vec<u32>> {
    if texts.is_empty() {
        return None;
    }
    let mut all: Vec<u32> = texts.iter().flat_map(|text| find(text)).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// The events about some parties.
struct Chains<'a> {
    parties: &'a Parties,
    all: Vec<u32>,
}

impl Chains<'_> {
    fn len(&self) -> u64 {
        self.all.iter().map(|party| u64::from(self.parties.count(*party))).sum()
    }

    /// Those within a window, ascending, each once.
    fn events(&self, window: (u32, u32)) -> Vec<u32> {
        let mut events: Vec<u32> =
            self.all.iter().flat_map(|party| self.parties.events(*party, window.0, window.1)).collect();
        events.reverse();
        if self.all.len() > 1 {
            events.sort();
            events.dedup();
        }
        events
    }
}

fn actions(state: &State, question: &Question) -> Option<Vec<bool>> {
    if question.actions.is_empty() {
        return None;
    }
    let wanted = |action: &str| {
        question.actions.iter().any(|form| match form.strip_suffix('*') {
            Some(prefix) => action.starts_with(prefix),
            None => action == form,
        })
    };
    let known = (0..state.actions.len()).map(|at| state.actions.get(at));
    Some(known.map(|text| text != NO_TEXT && wanted(state.texts.get(text))).collect())
}

struct Filter<'a> {
    state: &'a State,
    actors: Option<Vec<bool>>,
    resources: Option<Vec<bool>>,
    actions: Option<Vec<bool>>,
}

impl Filter<'_> {
    fn passes(&self, event: u32) -> bool {
        let has = |set: &Option<Vec<bool>>, number: u32| set.as_ref().is_none_or(|set| set[number as usize]);
        self.state.marks.get(event).why().is_none()
            && has(&self.actors, self.state.actor_of.get(event))
            && has(&self.actions, self.state.action_of.get(event))
            && (self.resources.is_none()
                || self.state.touched(event).any(|resource| has(&self.resources, resource)))
    }
}

/// Those that claim a time within the window, in its order, and how many claim none.
fn by_claimed_time(state: &State, question: &Question, events: Vec<u32>) -> (Vec<u32>, u64) {
    let (from, to) = (question.facts.from.unwrap_or(i64::MIN), question.facts.to.unwrap_or(i64::MAX));
    let mut without_time = 0;
    let mut claimed: Vec<(i64, u32)> = Vec::new();
    for event in events {
        match state.occurred.get(event) {
            NO_TIME => without_time += 1,
            time if time >= from && time < to => claimed.push((time, event)),
            _ => {}
        }
    }
    // Stable, and quick where history was imported in order.
    claimed.sort();
    (claimed.into_iter().map(|(_, event)| event).collect(), without_time)
}
