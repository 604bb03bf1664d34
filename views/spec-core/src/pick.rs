//! From one event to the values that a plan asks for.

use std::borrow::Cow;

use report_core::changes::value;
use report_core::pieces::{entries, text};
use report_core::scan::Piece;
use report_core::shape::Reading;

use crate::plan::{Plan, Source};
use crate::spec::{Many, Member};
use crate::written::{self, Written};

/// The values of an event, written as they are kept.
pub struct Picked<'a> {
    /// One for each source of the plan.
    pub singles: Vec<Option<Cow<'a, str>>>,
    /// Type, id and name of each resource, each resource once.
    pub resources: Vec<[Option<Cow<'a, str>>; 3]>,
    /// Field, before and after of each change.
    pub changes: Vec<[Option<Cow<'a, str>>; 3]>,
}

/// Members of the payload, and of what a CloudEvents envelope has inside.
struct Tops<'a> {
    outer: Vec<Option<Piece<'a>>>,
    inner: Vec<Option<Piece<'a>>>,
}

impl<'a> Tops<'a> {
    fn read(payload: Piece<'a>, names: &[String]) -> Self {
        if names.is_empty() {
            return Self { outer: Vec::new(), inner: Vec::new() };
        }
        let mut outer = vec![None; names.len()];
        let (mut envelope, mut data) = (false, None);
        members(payload.trim_ascii_start(), |name, piece| {
            if let Some(at) = names.iter().position(|top| top == name) {
                outer[at] = Some(piece);
            }
            match name {
                "specversion" => envelope = piece != "null",
                "data" => data = Some(piece),
                _ => {}
            }
        });
        let mut inner = Vec::new();
        if let Some(data) = data.filter(|data| envelope && data.starts_with('{')) {
            inner = vec![None; names.len()];
            members(data, |name, piece| {
                if let Some(at) = names.iter().position(|top| top == name) {
                    inner[at] = Some(piece);
                }
            });
        }
        Self { outer, inner }
    }

    /// What the first place of a source says that says something.
    fn find(&self, source: &Source) -> Option<Cow<'a, str>> {
        [&self.outer, &self.inner].into_iter().find_map(|tops| {
            source.paths.iter().find_map(|place| {
                let piece = place.path.follow((*tops.get(place.top)?)?)?;
                if place.texts {
                    words(piece)
                } else {
                    any_value(piece)
                }
            })
        })
    }
}

fn members<'a>(object: Piece<'a>, mut visit: impl FnMut(&str, Piece<'a>)) {
    // The payload was read before: nothing in it is unreadable but half of a surrogate pair in a name.
    let _ = entries(object, |name, scanner| {
        let piece = scanner.value()?;
        visit(&name, piece);
        Ok(())
    });
}

fn any_value(piece: Piece<'_>) -> Option<Cow<'_, str>> {
    if piece == "null" || piece == "\"\"" {
        return None;
    }
    Some(owned(value(piece)))
}

fn owned(json: Cow<'_, str>) -> Cow<'_, str> {
    match json {
        Cow::Borrowed(piece) => written::json(piece),
        Cow::Owned(piece) => Cow::Owned(written::json(&piece).into_owned()),
    }
}

fn words(piece: Piece<'_>) -> Option<Cow<'_, str>> {
    text(piece).ok().flatten().map(written::text)
}

impl<'a> Picked<'a> {
    /// Picks from an event that was read.
    pub fn new(plan: &Plan, payload: Piece<'a>, reading: Reading<'a>, writer: &'a str) -> Self {
        let tops = Tops::read(payload, &plan.tops);
        let mut told =
            Told { action: reading.action, actor: reading.actor, outcome: reading.outcome, writer };
        let singles = plan.sources.iter().map(|source| {
            let member = source.member.and_then(|member| told.get(member)).map(written::text);
            member.or_else(|| tops.find(source))
        });
        let singles = singles.collect();
        let mut resources = Vec::new();
        if plan.resources.is_some() {
            for party in reading.resources {
                let resource = [party.kind, Some(party.id), party.name].map(|text| text.map(written::text));
                if !resources.iter().any(|other: &[Option<Cow<str>>; 3]| other[..2] == resource[..2]) {
                    resources.push(resource);
                }
            }
        }
        let mut changes = Vec::new();
        if plan.changes.is_some() {
            changes.extend(
                reading.changes.into_iter().map(|change| {
                    [change.field.map(written::text), shown(change.before), shown(change.after)]
                }),
            );
        }
        Self { singles, resources, changes }
    }

    /// The values of one value of the specification: those of several things, or the one that it falls back to.
    pub fn written(&self, plan: &Plan, at: usize, member: Option<Member>) -> Vec<Written<'_>> {
        let fallback = plan.source_of[at].and_then(|source| self.singles[source].as_deref());
        let many: Vec<Option<&str>> = match member.and_then(Member::many) {
            None => Vec::new(),
            Some((Many::Resources, place)) => {
                self.resources.iter().map(|all| all[place].as_deref()).collect()
            }
            Some((Many::Changes, place)) => self.changes.iter().map(|all| all[place].as_deref()).collect(),
        };
        let values: Vec<Option<&str>> = if many.is_empty() { vec![None] } else { many };
        values.into_iter().filter_map(|value| value.or(fallback)).map(written::read).collect()
    }
}

/// A value before or after; null is none, as in every cell.
fn shown(value: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    value.filter(|json| json != "null").map(owned)
}

struct Told<'a> {
    action: Option<Cow<'a, str>>,
    actor: Option<report_core::party::Party<'a>>,
    outcome: Option<Cow<'a, str>>,
    writer: &'a str,
}

impl<'a> Told<'a> {
    fn get(&mut self, member: Member) -> Option<Cow<'a, str>> {
        let actor = self.actor.as_ref();
        match member {
            Member::Writer => Some(Cow::Borrowed(self.writer)),
            Member::Type => self.action.clone(),
            Member::Actor => actor.map(|actor| actor.id.clone()),
            Member::ActorType => actor.and_then(|actor| actor.kind.clone()),
            Member::ActorName => actor.and_then(|actor| actor.name.clone()),
            Member::Outcome => self.outcome.clone(),
            _ => None,
        }
    }
}

/// Whether an event passes what decides alone whether it is kept.
pub fn passes(plan: &Plan, picked: &Picked, members: &[Option<Member>]) -> bool {
    plan.early
        .iter()
        .all(|(at, leaf)| leaf.holds_written(picked.written(plan, *at, members[*at]).into_iter()))
}
