//! Which rows a question is about, in its order.

use report_core::question::Basis;
use report_core::state::NO_TIME;

use rust_decimal::Decimal;

use crate::asked::Asked;
use crate::cell::{Cell, MICROS_DIGITS};
use crate::condition::{Leaf, Ready};
use crate::kept::{Kept, Runs};
use crate::plan::{Access, Plan};
use crate::spec::{Clock, Each, Many, Spec, Subject};

/// A row: a kept event, and which of the rows it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The event.
    pub event: u32,
    /// From 0.
    pub place: u32,
}

/// Everything that is looked at while a question is answered.
pub struct Sight<'s> {
    /// The specification.
    pub spec: &'s Spec,
    /// What is kept for it.
    pub plan: &'s Plan,
    /// That.
    pub kept: &'s Kept,
    /// The question.
    pub asked: &'s Asked,
    /// How many of the folded events the answer rests on.
    pub bound: u32,
}

/// The rows that match.
pub struct Matched {
    /// In the order of the question's time, then of the log.
    pub rows: Vec<Row>,
    /// Of how many events.
    pub events: u64,
    /// The first and last of these by sequence.
    pub ends: Option<(u32, u32)>,
    /// Events that would match if they claimed a time; only where the question goes by that.
    pub without_time: u64,
}

impl Sight<'_> {
    /// The kept events that the answer may rest on, and of these the window of receipt.
    pub fn window(&self) -> (u32, u32) {
        let kept = self.kept;
        let bound = kept.offsets.partition_point(|offset| offset < self.bound);
        if self.asked.facts.basis == Basis::Occurred {
            return (0, bound);
        }
        let at = |instant: i64| {
            kept.times.partition_point(|time| i128::from(time) < i128::from(instant)).min(bound)
        };
        let to = self.asked.facts.to.map_or(bound, at);
        (self.asked.facts.from.map_or(0, at).min(to), to)
    }

    /// Finds the rows that match.
    pub fn find(&self) -> Matched {
        let condition = Ready::new(&self.plan.late, &self.asked.values, &self.kept.texts);
        let (from, to) = self.window();
        let mut matched = Matched { rows: Vec::new(), events: 0, ends: None, without_time: 0 };
        let mut take = |event: u32| {
            let before = matched.rows.len();
            for place in 0..self.rows_of(event) {
                let row = Row { event, place };
                if self.holds(condition.as_ref(), row) {
                    matched.rows.push(row);
                }
            }
            if matched.rows.len() > before {
                matched.events += 1;
                let (first, last) = matched.ends.unwrap_or((event, event));
                matched.ends = Some((first.min(event), last.max(event)));
            }
        };
        if self.asked.facts.basis == Basis::Received {
            (from..to).for_each(take);
            return matched;
        }
        let (events, unclaimed) = self.by_claimed_time(from..to);
        events.into_iter().for_each(&mut take);
        let may_match = |event: &u32| {
            (0..self.rows_of(*event))
                .any(|place| self.holds(condition.as_ref(), Row { event: *event, place }))
        };
        matched.without_time = unclaimed.iter().filter(|event| may_match(event)).count() as u64;
        matched
    }

    /// Those that claim a time within the window, in its order, and those that claim none.
    fn by_claimed_time(&self, events: std::ops::Range<u32>) -> (Vec<u32>, Vec<u32>) {
        let facts = &self.asked.facts;
        let (from, to) = (facts.from.unwrap_or(i64::MIN), facts.to.unwrap_or(i64::MAX));
        let (mut claimed, mut unclaimed) = (Vec::new(), Vec::new());
        for event in events {
            match self.kept.occurred.get(event) {
                NO_TIME => unclaimed.push(event),
                time if time >= from && time < to => claimed.push((time, event)),
                _ => {}
            }
        }
        claimed.sort();
        (claimed.into_iter().map(|(_, event)| event).collect(), unclaimed)
    }

    /// How many rows an event gives.
    fn rows_of(&self, event: u32) -> u32 {
        let count = |runs: &Runs| runs.of(event).len().max(1) as u32;
        match self.spec.each {
            Each::Event => 1,
            Each::Resource => count(&self.kept.resources),
            Each::Change => count(&self.kept.resources).saturating_mul(count(&self.kept.changes)),
        }
    }

    /// Whether a condition holds for a row; none always does.
    pub fn holds(&self, condition: Option<&Ready<Subject>>, row: Row) -> bool {
        condition.is_none_or(|condition| {
            condition.holds(&mut |subject: Subject, leaf: &Leaf| {
                if self.spec.several(subject) {
                    leaf.holds_for_any(self.all(row, subject).into_iter(), &self.kept.texts)
                } else {
                    leaf.holds(self.one(row, subject), &self.kept.texts)
                }
            })
        })
    }

    /// A time of an event.
    pub fn time(&self, event: u32, clock: Clock) -> Option<i64> {
        let received = || i64::try_from(self.kept.times.get(event)).unwrap_or(i64::MAX);
        let claimed = || Some(self.kept.occurred.get(event)).filter(|time| *time != NO_TIME);
        match (clock, self.asked.facts.basis) {
            (Clock::Received, _) | (Clock::When, Basis::Received) => Some(received()),
            (Clock::Occurred, _) | (Clock::When, Basis::Occurred) => claimed(),
        }
    }

    fn delay(&self, event: u32) -> Option<Decimal> {
        let (received, claimed) = (self.time(event, Clock::Received)?, self.time(event, Clock::Occurred)?);
        Some(Decimal::new(received.saturating_sub(claimed), MICROS_DIGITS).normalize())
    }

    /// What a row has one of.
    #[inline]
    pub fn one(&self, row: Row, subject: Subject) -> Cell {
        match subject {
            Subject::Sequence => Cell::Whole(self.kept.sequence(row.event)),
            Subject::Time(clock) => self.time(row.event, clock).map_or(Cell::Null, Cell::Time),
            Subject::Reads => Cell::Flag(self.kept.reads.get(row.event)),
            Subject::Delay => self.delay(row.event).map_or(Cell::Null, Cell::Number),
            Subject::Value(at) => match self.plan.access[at] {
                Access::One(source) => Cell::of_text(self.kept.singles[source].get(row.event)),
                Access::Many(many, place, fallback) => {
                    let run = self.runs(many).of(row.event);
                    let in_run = match (many, self.spec.each) {
                        (Many::Resources, Each::Change) => {
                            row.place / self.kept.changes.of(row.event).len().max(1) as u32
                        }
                        (Many::Changes, _) => row.place % run.len().max(1) as u32,
                        (Many::Resources, _) => row.place,
                    };
                    let own =
                        if run.is_empty() { Cell::Null } else { self.told(many, place, run.start + in_run) };
                    self.or(own, fallback, row.event)
                }
                Access::Nowhere => Cell::Null,
            },
        }
    }

    /// What a row has several of: at least one, which may be nothing.
    pub fn all(&self, row: Row, subject: Subject) -> Vec<Cell> {
        let Subject::Value(at) = subject else { return vec![self.one(row, subject)] };
        let Access::Many(many, place, fallback) = self.plan.access[at] else {
            return vec![self.one(row, subject)];
        };
        let run = self.runs(many).of(row.event);
        if run.is_empty() {
            return vec![self.or(Cell::Null, fallback, row.event)];
        }
        run.map(|at| self.or(self.told(many, place, at), fallback, row.event)).collect()
    }

    const fn runs(&self, many: Many) -> &Runs {
        match many {
            Many::Resources => &self.kept.resources,
            Many::Changes => &self.kept.changes,
        }
    }

    fn told(&self, many: Many, place: usize, at: u32) -> Cell {
        Cell::of_text(self.runs(many).told[place].get(at))
    }

    fn or(&self, own: Cell, fallback: Option<usize>, event: u32) -> Cell {
        match (own, fallback) {
            (Cell::Null, Some(source)) => Cell::of_text(self.kept.singles[source].get(event)),
            _ => own,
        }
    }
}
