//! Rows gathered into groups, and what is said of each.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::FixedState;
use report_core::question::Refusal;
use rust_decimal::Decimal;

use crate::bucket::{zone, Buckets};
use crate::cell::Cell;
use crate::condition::Ready;
use crate::matching::{Row, Sight};
use crate::spec::{Condition, Key, Operation, Subject, Zone};

/// The most cells that groups may have in one question, shown or not.
const CELLS_MOST: usize = 1_000_000;

/// One cell of a group, or a list of them.
#[derive(Clone, Debug)]
pub enum Said {
    /// One.
    One(Cell),
    /// Several, the newest first.
    List(Vec<Cell>),
}

/// A group: keys, then aggregates.
pub type Group = Vec<Said>;

/// What is known of a group while rows come.
enum Running {
    Events(u64, Option<u32>),
    Count(u64),
    /// None before the first row.
    One(Option<Cell>),
    Sum(Decimal),
    Latest(VecDeque<Cell>),
}

/// An aggregate, with its condition ready.
struct Aggregate {
    operation: Operation,
    condition: Option<Ready<Subject>>,
    /// The groups and values that were met, where different ones are counted.
    met: HashSet<(u32, u64), FixedState>,
}

/// The buckets of each key that has them.
pub fn buckets(sight: &Sight, keys: &[(String, Key)]) -> Result<Vec<Option<Buckets>>, Refusal> {
    let asked = || {
        let name = sight.asked.facts.echo("tz").unwrap_or("UTC");
        zone(name)
            .ok_or_else(|| Refusal::Invalid(format!("This report does not know the time zone {name:?}.")))
    };
    keys.iter()
        .map(|(_, key)| match key {
            Key::Value(_) => Ok(None),
            Key::Bucket(unit, _, Zone::Asked) => Ok(Some(Buckets::new(*unit, asked()?))),
            Key::Bucket(unit, _, Zone::Named(zone)) => Ok(Some(Buckets::new(*unit, zone.clone()))),
        })
        .collect()
}

/// Gathers rows, which come in the order of the question. Groups come in the order of their first row.
pub fn gather(
    sight: &Sight,
    rows: &[Row],
    keys: &[(String, Key)],
    buckets: &[Option<Buckets>],
    aggregates: &[(String, Operation, Option<Condition<Subject>>)],
) -> Result<Vec<Group>, Refusal> {
    let mut aggregates: Vec<Aggregate> = aggregates.iter().map(|one| Aggregate::new(sight, one)).collect();
    let width = keys.len() + aggregates.len();
    let mut found: HashMap<Vec<u64>, u32, FixedState> = HashMap::default();
    let mut groups: Vec<Vec<Running>> = Vec::new();
    let (mut order, mut key, mut tags) = (Vec::new(), Vec::with_capacity(keys.len()), Vec::new());
    if keys.is_empty() {
        order.push(Vec::new());
        found.insert(Vec::new(), 0);
        groups.push(aggregates.iter().map(Aggregate::begin).collect());
    }
    for row in rows {
        key.clear();
        key.extend(
            keys.iter().zip(buckets).map(|((_, key), buckets)| key_cell(sight, *row, key, buckets.as_ref())),
        );
        tags.clear();
        tags.extend(key.iter().map(|cell: &Cell| cell.tag()));
        let group = match found.get(&tags) {
            Some(group) => *group,
            None => {
                if (groups.len() + 1) * width > CELLS_MOST {
                    return Err(Refusal::Invalid(format!(
                        "More than {} groups match; ask for a shorter window or less.",
                        groups.len()
                    )));
                }
                groups.push(aggregates.iter().map(Aggregate::begin).collect());
                found.insert(tags.clone(), groups.len() as u32 - 1);
                order.push(key.clone());
                groups.len() as u32 - 1
            }
        };
        for (aggregate, running) in aggregates.iter_mut().zip(&mut groups[group as usize]) {
            aggregate.take(sight, *row, group, running)?;
        }
    }
    let whole = order.into_iter().zip(groups).map(|(key, running)| {
        key.into_iter().map(Said::One).chain(running.into_iter().map(Running::finish)).collect()
    });
    Ok(whole.collect())
}

fn key_cell(sight: &Sight, row: Row, key: &Key, buckets: Option<&Buckets>) -> Cell {
    match (key, buckets) {
        (Key::Value(subject), _) => sight.one(row, *subject),
        (Key::Bucket(_, clock, _), Some(buckets)) => {
            sight.time(row.event, *clock).map_or(Cell::Null, |time| Cell::Bucket(buckets.of(time)))
        }
        (Key::Bucket(..), None) => Cell::Null,
    }
}

impl Aggregate {
    fn new(sight: &Sight, told: &(String, Operation, Option<Condition<Subject>>)) -> Self {
        let ready =
            |condition: &Condition<Subject>| Ready::new(condition, &sight.asked.values, &sight.kept.texts);
        Self { operation: told.1, condition: told.2.as_ref().and_then(ready), met: HashSet::default() }
    }

    fn begin(&self) -> Running {
        match self.operation {
            Operation::CountEvents => Running::Events(0, None),
            Operation::CountRows | Operation::Distinct(_) => Running::Count(0),
            Operation::Sum(_) => Running::Sum(Decimal::ZERO),
            Operation::Latest(..) => Running::Latest(VecDeque::new()),
            _ => Running::One(None),
        }
    }

    fn take(&mut self, sight: &Sight, row: Row, group: u32, running: &mut Running) -> Result<(), Refusal> {
        if !sight.holds(self.condition.as_ref(), row) {
            return Ok(());
        }
        let cell = self.operation.subject().map_or(Cell::Null, |subject| sight.one(row, subject));
        match (self.operation, running) {
            (Operation::CountEvents, Running::Events(count, last)) => {
                // The rows of an event come one after the other.
                *count += u64::from(last.replace(row.event) != Some(row.event));
            }
            (Operation::CountRows, Running::Count(count)) => *count += 1,
            (Operation::First(_), Running::One(said)) => *said = said.or(Some(cell)),
            (Operation::Last(_), Running::One(said)) => *said = Some(cell),
            (Operation::Latest(_, n), Running::Latest(list)) => {
                list.push_front(cell);
                list.truncate(n);
            }
            _ if cell == Cell::Null => {}
            (Operation::Distinct(_), Running::Count(count)) => {
                *count += u64::from(self.met.insert((group, cell.tag())));
            }
            (Operation::Sum(_), Running::Sum(sum)) => {
                if let Some(number) = cell.number(&sight.kept.texts) {
                    *sum = exact_sum(*sum, number)?;
                }
            }
            (operation, Running::One(said)) => {
                let order = said.map(|said| cell.order(said, &sight.kept.texts));
                let better = match operation {
                    Operation::Min(_) => order.is_none_or(Ordering::is_lt),
                    _ => order.is_none_or(Ordering::is_gt),
                };
                if better {
                    *said = Some(cell);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A sum of which no digit is rounded away.
fn exact_sum(one: Decimal, other: Decimal) -> Result<Decimal, Refusal> {
    let sum = one.checked_add(other);
    let exact = sum.filter(|sum| sum.checked_sub(other) == Some(one) && sum.checked_sub(one) == Some(other));
    exact.ok_or_else(|| {
        Refusal::Invalid("A sum has more than 28 digits; ask for a shorter window or less.".to_owned())
    })
}

impl Running {
    fn finish(self) -> Said {
        match self {
            Self::Events(count, _) | Self::Count(count) => Said::One(Cell::Whole(count)),
            Self::One(cell) => Said::One(cell.unwrap_or(Cell::Null)),
            Self::Sum(sum) => Said::One(Cell::Number(sum)),
            Self::Latest(list) => Said::List(list.into()),
        }
    }
}
