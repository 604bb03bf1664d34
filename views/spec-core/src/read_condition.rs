//! Conditions, as a specification writes them.

use crate::node::Kind;
use crate::read_spec::Reading;
use crate::read_value::read_subject;
use crate::spec::{Comparison, Condition, Subject, Test, Type, CONSTANTS_MOST, LEAVES_MOST};
use crate::spot::Spot;

const TESTS: [&str; 7] = ["is", "like", "exists", "at_least", "more_than", "at_most", "less_than"];

const COMPARISONS: [(&str, Comparison); 4] = [
    ("at_least", Comparison::AtLeast),
    ("more_than", Comparison::MoreThan),
    ("at_most", Comparison::AtMost),
    ("less_than", Comparison::LessThan),
];

/// What a leaf can be tested for.
#[derive(Clone, Copy, PartialEq)]
pub enum Nature {
    /// Anything.
    Any,
    /// Earlier and later.
    Time,
    /// Nothing but whether it is there.
    Opaque,
}

/// Reads a condition over rows.
pub fn read_condition(spot: &Spot, reading: &mut Reading) -> Option<Condition<Subject>> {
    read(spot, reading, &mut |spot, reading| {
        let (subject, _) = read_subject(spot, &TESTS, reading)?;
        let nature = if matches!(subject, Subject::Time(_)) { Nature::Time } else { Nature::Any };
        Some((subject, nature))
    })
}

/// Reads a condition over columns of the answer, of which each has its name and its nature.
pub fn read_having(
    spot: &Spot,
    names: &[&str],
    natures: &[Nature],
    reading: &mut Reading,
) -> Option<Condition<usize>> {
    let words: Vec<(&str, usize)> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    read(spot, reading, &mut |spot, reading| {
        let mut known = vec!["column"];
        known.extend(TESTS);
        spot.only(&known, &mut reading.mistakes)?;
        let Some(column) = spot.get("column") else {
            reading.mistakes.add(spot, "column is missing");
            return None;
        };
        let at = column.word(&words, &mut reading.mistakes)?;
        Some((at, natures[at]))
    })
}

type Subjects<'s, S> = &'s mut dyn FnMut(&Spot, &mut Reading) -> Option<(S, Nature)>;

fn read<S>(spot: &Spot, reading: &mut Reading, subject: Subjects<S>) -> Option<Condition<S>> {
    if let Kind::List(_) = spot.node.kind {
        return Some(Condition::All(read_list(spot, reading, subject)?));
    }
    for (name, of) in [("all", Condition::All as fn(_) -> _), ("any", Condition::Any)] {
        if let Some(inner) = spot.get(name) {
            spot.only(&[name], &mut reading.mistakes)?;
            let list = read_list(&inner, reading, subject)?;
            if list.is_empty() {
                reading.mistakes.add(&inner, "at least one condition is needed");
            }
            return Some(of(list));
        }
    }
    if let Some(inner) = spot.get("not") {
        spot.only(&["not"], &mut reading.mistakes)?;
        return Some(Condition::Not(Box::new(read(&inner, reading, subject)?)));
    }
    read_leaf(spot, reading, subject)
}

fn read_list<S>(spot: &Spot, reading: &mut Reading, subject: Subjects<S>) -> Option<Vec<Condition<S>>> {
    let spots = spot.list(LEAVES_MOST, &mut reading.mistakes)?;
    let read: Vec<_> = spots.iter().map(|spot| read(spot, reading, subject)).collect();
    read.into_iter().collect()
}

fn read_leaf<S>(spot: &Spot, reading: &mut Reading, subject: Subjects<S>) -> Option<Condition<S>> {
    if !matches!(spot.node.kind, Kind::Object(_)) {
        reading.mistakes.add(spot, "a condition is an object, such as {member: type, is: user.invited}");
        return None;
    }
    if !reading.parameters.another_leaf() {
        reading.mistakes.add(spot, &format!("there are more than {LEAVES_MOST} conditions"));
        return None;
    }
    let (subject, nature) = subject(spot, reading)?;
    let spots: Vec<(&str, Spot)> =
        TESTS.iter().filter_map(|name| spot.get(name).map(|inner| (*name, inner))).collect();
    if spots.is_empty() {
        reading.mistakes.add(spot, &format!("one of {} is missing", TESTS.join(", ")));
        return None;
    }
    let tests: Vec<_> = spots.iter().map(|(name, inner)| read_test(name, inner, nature, reading)).collect();
    Some(Condition::Leaf(subject, tests.into_iter().collect::<Option<_>>()?))
}

fn read_test(name: &str, spot: &Spot, nature: Nature, reading: &mut Reading) -> Option<Test> {
    if name == "exists" {
        return spot.flag(&mut reading.mistakes).map(Test::Exists);
    }
    if nature == Nature::Opaque {
        reading.mistakes.add(spot, "of this column only exists can be asked");
        return None;
    }
    let comparison = COMPARISONS.iter().find(|(word, _)| *word == name).map(|(_, comparison)| *comparison);
    let parameters = &mut reading.parameters;
    match comparison {
        Some(comparison) => {
            let kind = if nature == Nature::Time { Type::Time } else { Type::Number };
            let operand = parameters.single(spot, kind, &mut reading.mistakes)?;
            Some(Test::Compare(comparison, operand))
        }
        None if nature == Nature::Time => {
            reading.mistakes.add(spot, "times compare by at_least, more_than, at_most and less_than");
            None
        }
        None if name == "like" => {
            Some(Test::Like(parameters.several(spot, true, CONSTANTS_MOST, &mut reading.mistakes)?))
        }
        None => Some(Test::Is(parameters.several(spot, false, CONSTANTS_MOST, &mut reading.mistakes)?)),
    }
}
