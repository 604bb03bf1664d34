//! What is read from an event, as a specification names it.

use crate::node::Kind;
use crate::path::Path;
use crate::read_spec::Reading;
use crate::spec::{Clock, Member, Subject, Value};
use crate::spot::Spot;

/// The most different values that a specification reads from an event.
const VALUES_MOST: usize = 256;
/// The most paths of one value.
const PATHS_MOST: usize = 16;

/// The values that were named so far, each once.
#[derive(Default)]
pub struct Values {
    /// In the order in which they were named.
    pub all: Vec<Value>,
}

impl Values {
    fn place(&mut self, value: Value) -> Option<usize> {
        let found = self.all.iter().position(|other| *other == value);
        if found.is_none() && self.all.len() < VALUES_MOST {
            self.all.push(value);
            return Some(self.all.len() - 1);
        }
        found
    }
}

#[derive(Clone, Copy)]
enum Named {
    Sequence,
    Time(Clock),
    Reads,
    Delay,
    Member(Member),
}

const MEMBERS: [(&str, Named); 20] = [
    ("sequence", Named::Sequence),
    ("time", Named::Time(Clock::Received)),
    ("when", Named::Time(Clock::When)),
    ("occurred_at", Named::Time(Clock::Occurred)),
    ("writer", Named::Member(Member::Writer)),
    ("type", Named::Member(Member::Type)),
    ("actor", Named::Member(Member::Actor)),
    ("actor_type", Named::Member(Member::ActorType)),
    ("actor_name", Named::Member(Member::ActorName)),
    ("resource", Named::Member(Member::Resource)),
    ("resource_type", Named::Member(Member::ResourceType)),
    ("resource_name", Named::Member(Member::ResourceName)),
    ("field", Named::Member(Member::Field)),
    ("before", Named::Member(Member::Before)),
    ("after", Named::Member(Member::After)),
    ("outcome", Named::Member(Member::Outcome)),
    ("ip", Named::Member(Member::Ip)),
    ("reason", Named::Member(Member::Reason)),
    ("reads", Named::Reads),
    ("delay", Named::Delay),
];

/// A time that an event has.
pub fn clock(spot: &Spot, reading: &mut Reading) -> Option<Clock> {
    let words = [("when", Clock::When), ("time", Clock::Received), ("occurred_at", Clock::Occurred)];
    spot.word(&words, &mut reading.mistakes)
}

/// Reads a member's name, or an object with `member` and `path` beside `others`; says what it looks at, and
/// what a column of it is called.
pub fn read_subject(spot: &Spot, others: &[&str], reading: &mut Reading) -> Option<(Subject, String)> {
    if let Kind::Text(_) = spot.node.kind {
        return named(spot, Vec::new(), spot, reading);
    }
    let mut known = vec!["member", "path"];
    known.extend(others);
    spot.only(&known, &mut reading.mistakes)?;
    let paths = match spot.get("path") {
        Some(path) => read_paths(&path, reading)?,
        None => Vec::new(),
    };
    match (spot.get("member"), paths.first()) {
        (Some(member), _) => named(&member, paths, spot, reading),
        (None, Some(first)) => {
            let own = first.last_name().to_owned();
            let at = place(Value { member: None, paths }, spot, reading)?;
            Some((Subject::Value(at), own))
        }
        (None, None) => {
            reading.mistakes.add(spot, "member or path is missing");
            None
        }
    }
}

fn named(member: &Spot, paths: Vec<Path>, spot: &Spot, reading: &mut Reading) -> Option<(Subject, String)> {
    let found = member.word(&MEMBERS, &mut reading.mistakes)?;
    let own = member.text(&mut reading.mistakes)?.to_owned();
    let subject = match found {
        Named::Member(member) => Subject::Value(place(Value { member: Some(member), paths }, spot, reading)?),
        _ if !paths.is_empty() => {
            reading.mistakes.add(spot, &format!("{own} is always told: leave path out"));
            return None;
        }
        Named::Sequence => Subject::Sequence,
        Named::Time(clock) => Subject::Time(clock),
        Named::Reads => Subject::Reads,
        Named::Delay => Subject::Delay,
    };
    Some((subject, own))
}

fn place(value: Value, spot: &Spot, reading: &mut Reading) -> Option<usize> {
    let place = reading.values.place(value);
    if place.is_none() {
        reading.mistakes.add(spot, &format!("more than {VALUES_MOST} different values are read"));
    }
    place
}

fn read_paths(spot: &Spot, reading: &mut Reading) -> Option<Vec<Path>> {
    let spots = spot.one_or_list(PATHS_MOST, &mut reading.mistakes)?;
    if spots.is_empty() {
        reading.mistakes.add(spot, "at least one path is needed");
    }
    let mut paths = Vec::new();
    for spot in spots {
        match Path::parse(spot.text(&mut reading.mistakes)?) {
            Ok(path) => paths.push(path),
            Err(why) => {
                reading.mistakes.add(&spot, &why);
                return None;
            }
        }
    }
    (!paths.is_empty()).then_some(paths)
}
