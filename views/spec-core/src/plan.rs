//! What must be kept of each event so that a specification can be answered for any window.

use crate::condition::Leaf;
use crate::path::Path;
use crate::spec::{Condition, Each, Key, Many, Member, Operand, Operation, Shape, Spec, Subject, Test};

/// Where one value of an event comes from: a member, then paths.
#[derive(Debug, Clone)]
pub struct Source {
    /// The member.
    pub member: Option<Member>,
    /// The paths.
    pub paths: Vec<Place>,
}

/// A place in the payload.
#[derive(Debug, Clone)]
pub struct Place {
    /// The number of the payload's member in `Plan::tops`.
    pub top: usize,
    /// The path.
    pub path: Path,
    /// Whether only texts and numbers are read there, as texts: so it is with the places of our own members.
    pub texts: bool,
}

/// Where a value is kept.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// In a column with one for each event.
    One(usize),
    /// With each resource or change, in that place; where it says nothing, in a column.
    Many(Many, usize, Option<usize>),
    /// Nowhere: it only decides whether an event is kept.
    Nowhere,
}

/// What is read and kept.
pub struct Plan {
    /// Members of the payload in which paths begin.
    pub tops: Vec<String>,
    /// What is read of each event.
    pub sources: Vec<Source>,
    /// Whether each source is kept.
    pub kept: Vec<bool>,
    /// For each value of the specification, its source or the source it falls back to.
    pub source_of: Vec<Option<usize>>,
    /// For each value of the specification, where it is kept.
    pub access: Vec<Access>,
    /// Whether resources are kept, and of their type, id and name those that are.
    pub resources: Option<[bool; 3]>,
    /// Whether changes are kept, and of field, before and after those that are.
    pub changes: Option<[bool; 3]>,
    /// Whether it is kept that an event only reads.
    pub reads: bool,
    /// For events to be kept all of these must hold; subjects are values.
    pub early: Vec<(usize, Leaf)>,
    /// What is left of the specification's condition.
    pub late: Condition<Subject>,
}

/// Where common shapes have an address.
const IP: [&[&str]; 9] = [
    &["ip"],
    &["source_ip"],
    &["sourceIPAddress"],
    &["source", "ip"],
    &["source.ip"],
    &["client", "ip"],
    &["client.ip"],
    &["src_endpoint", "ip"],
    &["context", "location"],
];

/// Where common shapes have a reason.
const REASON: [&[&str]; 7] = [
    &["reason"],
    &["justification"],
    &["event", "reason"],
    &["event.reason"],
    &["errorMessage"],
    &["errorCode"],
    &["status_detail"],
];

impl Plan {
    /// Plans for a specification.
    pub fn new(spec: &Spec) -> Self {
        let (early, late) = split(spec);
        let mut needed = vec![false; spec.values.len()];
        let mut reads = false;
        each_subject(spec, &late, &mut |subject| match subject {
            Subject::Value(at) => needed[at] = true,
            Subject::Reads => reads = true,
            _ => {}
        });
        let mut plan = Self {
            tops: Vec::new(),
            sources: Vec::new(),
            kept: Vec::new(),
            source_of: Vec::new(),
            access: Vec::new(),
            resources: (spec.each != Each::Event).then_some([false; 3]),
            changes: (spec.each == Each::Change).then_some([false; 3]),
            reads,
            early: Vec::new(),
            late,
        };
        for (value, needed) in spec.values.iter().zip(needed) {
            plan.add(value, needed);
        }
        plan.early =
            early.into_iter().filter_map(|(at, tests)| Some((at, Leaf::new(&tests, &[])?))).collect();
        plan
    }

    fn add(&mut self, value: &crate::spec::Value, needed: bool) {
        let many = value.member.and_then(Member::many);
        let single = value.member.filter(|_| many.is_none());
        let source =
            (single.is_some() || !value.paths.is_empty()).then(|| self.source(single, &value.paths, needed));
        self.source_of.push(source);
        let access = match (many, source) {
            _ if !needed => Access::Nowhere,
            (None, Some(source)) => Access::One(source),
            (None, None) => Access::Nowhere,
            (Some((of, place)), fallback) => {
                let kept = match of {
                    Many::Resources => &mut self.resources,
                    Many::Changes => &mut self.changes,
                };
                kept.get_or_insert([false; 3])[place] = true;
                Access::Many(of, place, fallback)
            }
        };
        self.access.push(access);
    }

    fn source(&mut self, member: Option<Member>, paths: &[Path], needed: bool) -> usize {
        let own: &[&[&str]] = match member {
            Some(Member::Ip) => &IP,
            Some(Member::Reason) => &REASON,
            _ => &[],
        };
        let own = own.iter().map(|names| (Path::of(names), true));
        let all: Vec<(Path, bool)> = own.chain(paths.iter().cloned().map(|path| (path, false))).collect();
        let paths =
            all.into_iter().map(|(path, texts)| Place { top: self.top(&path.top), path, texts }).collect();
        self.sources.push(Source { member, paths });
        self.kept.push(needed);
        self.sources.len() - 1
    }

    fn top(&mut self, name: &str) -> usize {
        let found = self.tops.iter().position(|top| top == name);
        found.unwrap_or_else(|| {
            self.tops.push(name.to_owned());
            self.tops.len() - 1
        })
    }
}

/// What decides alone whether an event is kept, and the rest of a condition. A leaf over what an event has several
/// of only tells that no row of the event can match; so it stays in the rest as well.
fn split(spec: &Spec) -> (Vec<(usize, Vec<Test>)>, Condition<Subject>) {
    let conjuncts = match &spec.condition {
        Condition::All(all) => all.clone(),
        other => vec![other.clone()],
    };
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for condition in conjuncts {
        if let Condition::Leaf(Subject::Value(at), tests) = &condition {
            let many = spec.values[*at].member.and_then(Member::many).is_some();
            if tests.iter().all(|test| constant(test) && !(many && *test == Test::Exists(false))) {
                early.push((*at, tests.clone()));
                if !many {
                    continue;
                }
            }
        }
        late.push(condition);
    }
    (early, Condition::All(late))
}

const fn constant(test: &Test) -> bool {
    match test {
        Test::Exists(_) => true,
        Test::Is(operand) | Test::Like(operand) | Test::Compare(_, operand) => {
            matches!(operand, Operand::Constants(_))
        }
    }
}

/// Visits all that is looked at once events are kept.
fn each_subject(spec: &Spec, late: &Condition<Subject>, visit: &mut impl FnMut(Subject)) {
    of_condition(late, visit);
    match &spec.shape {
        Shape::Rows { columns, .. } => columns.iter().for_each(|(_, subject)| visit(*subject)),
        Shape::Groups { keys, aggregates, .. } => {
            for (_, key) in keys {
                if let Key::Value(subject) = key {
                    visit(*subject);
                }
            }
            for (_, operation, condition) in aggregates {
                if let Some(subject) = operation.subject() {
                    visit(subject);
                }
                if let Some(condition) = condition {
                    of_condition(condition, visit);
                }
            }
        }
    }
}

fn of_condition(condition: &Condition<Subject>, visit: &mut impl FnMut(Subject)) {
    match condition {
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|one| of_condition(one, visit))
        }
        Condition::Not(inner) => of_condition(inner, visit),
        Condition::Leaf(subject, _) => visit(*subject),
    }
}

impl Operation {
    /// What it looks at.
    pub const fn subject(self) -> Option<Subject> {
        match self {
            Self::CountEvents | Self::CountRows => None,
            Self::Distinct(subject)
            | Self::First(subject)
            | Self::Last(subject)
            | Self::Min(subject)
            | Self::Max(subject)
            | Self::Sum(subject)
            | Self::Latest(subject, _) => Some(subject),
        }
    }
}
