//! From nodes to a specification, with every mistake told where it stands.

use crate::bucket::{self, Unit};
use crate::node::Node;
use crate::read_condition::{read_condition, read_having, Nature};
use crate::read_parameters::{read_parameters, Parameters};
use crate::read_value::{clock, read_subject, Values};
use crate::source;
use crate::spec::{
    Clock, Condition, Each, Key, Operand, Operation, Shape, Spec, Subject, Type, Zone, COLUMNS_MOST,
    LATEST_MOST,
};
use crate::spot::{Mistakes, Spot};

const MEMBERS: [&str; 12] = [
    "title",
    "description",
    "each",
    "where",
    "parameters",
    "columns",
    "group_by",
    "aggregates",
    "having",
    "sort",
    "limit",
    "sample",
];

/// The longest name of a column or a parameter, in bytes.
const NAME_BYTES: usize = 64;
/// The longest title, and twenty times that the longest description, in bytes.
const TITLE_BYTES: usize = 200;

/// What is gathered while a specification is read.
pub struct Reading {
    /// All that is wrong.
    pub mistakes: Mistakes,
    /// What is read from events.
    pub values: Values,
    /// What a query may ask for.
    pub parameters: Parameters,
}

/// Reads a specification as it was given: YAML, JSON, or a JSON text that holds either.
pub fn read(text: &str) -> Result<Spec, String> {
    let node = source::read(text)?;
    let mut reading = Reading {
        mistakes: Mistakes::default(),
        values: Values::default(),
        parameters: Parameters::default(),
    };
    let spec = read_node(&node, &mut reading);
    reading.mistakes.or(spec)
}

fn read_node(node: &Node, reading: &mut Reading) -> Option<Spec> {
    let root = Spot::root(node);
    root.only(&MEMBERS, &mut reading.mistakes)?;
    let each = root.get("each").map_or(Some(Each::Event), |spot| {
        spot.word(
            &[("event", Each::Event), ("resource", Each::Resource), ("change", Each::Change)],
            &mut reading.mistakes,
        )
    });
    read_parameters(root.get("parameters"), reading);
    let condition =
        root.get("where").map_or(Some(Condition::All(Vec::new())), |spot| read_condition(&spot, reading));
    let shape = read_shape(&root, reading);
    let title = words(&root, "title", TITLE_BYTES, reading);
    let description = words(&root, "description", TITLE_BYTES * 20, reading);
    let limit = root.get("limit").map_or(Some(report_core::question::LIMIT_DEFAULT), |spot| {
        spot.whole(1, report_core::question::LIMIT_MOST, &mut reading.mistakes)
    });
    let mut spec = Spec {
        title: title.unwrap_or_else(|| "Report".to_owned()),
        description,
        each: each?,
        condition: condition?,
        parameters: Vec::new(),
        values: std::mem::take(&mut reading.values).all,
        shape: shape?,
        sort: Vec::new(),
        limit: limit?,
    };
    spec.sort = read_sort(root.get("sort"), &spec, reading)?;
    check_single(&root, &spec, reading);
    spec.parameters = reading.parameters.finish(&root, &mut reading.mistakes);
    Some(spec)
}

fn words(root: &Spot, name: &str, most: usize, reading: &mut Reading) -> Option<String> {
    let spot = root.get(name)?;
    let text = spot.text(&mut reading.mistakes)?;
    if text.len() > most {
        reading.mistakes.add(&spot, &format!("at most {most} bytes are taken"));
    }
    Some(text.to_owned())
}

fn read_shape(root: &Spot, reading: &mut Reading) -> Option<Shape> {
    let (columns, keys, aggregates) = (root.get("columns"), root.get("group_by"), root.get("aggregates"));
    match (columns, keys.is_some() || aggregates.is_some()) {
        (Some(columns), false) => {
            if let Some(having) = root.get("having") {
                reading.mistakes.add(&having, "this goes with group_by; use where for rows");
            }
            read_rows(&columns, root.get("sample"), reading)
        }
        (None, true) => {
            if let Some(sample) = root.get("sample") {
                reading.mistakes.add(&sample, "a sample goes with columns: rows are drawn, not groups");
            }
            read_groups(keys.as_ref(), aggregates.as_ref(), root.get("having").as_ref(), reading)
        }
        (Some(columns), true) => {
            reading.mistakes.add(&columns, "columns list rows, group_by and aggregates group them: take one");
            None
        }
        (None, false) => {
            reading.mistakes.add(
                root,
                "columns (a list of rows), or group_by or aggregates (a table of groups), is missing",
            );
            None
        }
    }
}

fn read_rows(columns: &Spot, sample: Option<Spot>, reading: &mut Reading) -> Option<Shape> {
    let spots = columns.list(COLUMNS_MOST, &mut reading.mistakes)?;
    if spots.is_empty() {
        reading.mistakes.add(columns, "at least one column is needed");
    }
    let read: Vec<_> = spots.iter().map(|spot| read_column(spot, reading)).collect();
    let sample = match sample {
        Some(spot) => Some(read_sample(&spot, reading)?),
        None => None,
    };
    let columns: Vec<(String, Subject)> = read.into_iter().collect::<Option<_>>()?;
    check_names(&spots, columns.iter().map(|(name, _)| name.as_str()), reading);
    Some(Shape::Rows { columns, sample })
}

fn read_sample(spot: &Spot, reading: &mut Reading) -> Option<(Operand, Operand)> {
    spot.only(&["size", "seed"], &mut reading.mistakes)?;
    let mut part = |name: &str, kind: Type| {
        let Some(inner) = spot.get(name) else {
            reading.mistakes.add(spot, &format!("{name} is missing"));
            return None;
        };
        if inner.get("param").is_none() && kind == Type::Integer {
            inner.whole(1, report_core::question::LIMIT_MOST, &mut reading.mistakes)?;
        }
        let operand = reading.parameters.single(&inner, kind, &mut reading.mistakes)?;
        if let Operand::Parameter(at) = operand {
            if !reading.parameters.always_there(at) {
                reading.mistakes.add(&inner, "this parameter needs a default, or required: true");
            }
        }
        Some(operand)
    };
    let (size, seed) = (part("size", Type::Integer), part("seed", Type::Text));
    Some((size?, seed?))
}

/// A column that shows a value: its name, and what it looks at.
fn read_column(spot: &Spot, reading: &mut Reading) -> Option<(String, Subject)> {
    let (subject, own) = read_subject(spot, &["name"], reading)?;
    let name = match spot.get("name") {
        Some(name) => read_name(&name, reading)?,
        None if is_name(&own) => own,
        None => {
            reading.mistakes.add(spot, &format!("name is missing: {own:?} is no name of a column"));
            return None;
        }
    };
    Some((name, subject))
}

/// Whether a text can name a column or a parameter.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn read_name(spot: &Spot, reading: &mut Reading) -> Option<String> {
    let name = spot.text(&mut reading.mistakes)?;
    if is_name(name) {
        return Some(name.to_owned());
    }
    reading.mistakes.add(spot, "a name begins with a-z and has a-z, 0-9 and _ only, at most 64 of them");
    None
}

fn check_names<'n>(spots: &[Spot], names: impl Iterator<Item = &'n str>, reading: &mut Reading) {
    let mut seen = Vec::new();
    for (name, spot) in names.zip(spots) {
        if seen.contains(&name) {
            reading.mistakes.add(spot, &format!("there are two columns {name}; give one another name"));
        }
        seen.push(name);
    }
}

fn read_groups(
    keys: Option<&Spot>,
    aggregates: Option<&Spot>,
    having: Option<&Spot>,
    reading: &mut Reading,
) -> Option<Shape> {
    let key_spots = list(keys, reading);
    let aggregate_spots = list(aggregates, reading);
    if key_spots.is_empty() && aggregate_spots.is_empty() {
        let spot = keys.or(aggregates)?;
        reading.mistakes.add(spot, "at least one key or aggregate is needed");
        return None;
    }
    let keys: Vec<_> = key_spots.iter().map(|spot| read_key(spot, reading)).collect();
    let aggregates: Vec<_> = aggregate_spots.iter().map(|spot| read_aggregate(spot, reading)).collect();
    let keys: Vec<(String, Key)> = keys.into_iter().collect::<Option<_>>()?;
    let aggregates: Vec<_> = aggregates.into_iter().collect::<Option<_>>()?;
    let names: Vec<&str> = keys
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(aggregates.iter().map(|one| one.0.as_str()))
        .collect();
    let spots: Vec<Spot> = key_spots.into_iter().chain(aggregate_spots).collect();
    check_names(&spots, names.iter().copied(), reading);
    let having = match having {
        Some(spot) => {
            let natures = keys.iter().map(|(_, key)| key_nature(key));
            let natures: Vec<Nature> = natures.chain(aggregates.iter().map(|one| nature(one.1))).collect();
            read_having(spot, &names, &natures, reading)?
        }
        None => Condition::All(Vec::new()),
    };
    Some(Shape::Groups { keys, aggregates, having })
}

fn list<'a>(spot: Option<&Spot<'a>>, reading: &mut Reading) -> Vec<Spot<'a>> {
    spot.and_then(|spot| spot.list(COLUMNS_MOST, &mut reading.mistakes)).unwrap_or_default()
}

const fn key_nature(key: &Key) -> Nature {
    match key {
        Key::Bucket(..) => Nature::Opaque,
        Key::Value(Subject::Time(_)) => Nature::Time,
        Key::Value(_) => Nature::Any,
    }
}

const fn nature(operation: Operation) -> Nature {
    match operation {
        Operation::Latest(..) => Nature::Opaque,
        Operation::First(Subject::Time(_))
        | Operation::Last(Subject::Time(_))
        | Operation::Min(Subject::Time(_))
        | Operation::Max(Subject::Time(_)) => Nature::Time,
        _ => Nature::Any,
    }
}

fn read_key(spot: &Spot, reading: &mut Reading) -> Option<(String, Key)> {
    let Some(unit) = spot.get("bucket") else {
        let (name, subject) = read_column(spot, reading)?;
        return Some((name, Key::Value(subject)));
    };
    spot.only(&["name", "bucket", "of", "tz"], &mut reading.mistakes)?;
    let name = match spot.get("name") {
        Some(name) => read_name(&name, reading),
        None => unit.text(&mut reading.mistakes).map(str::to_owned),
    };
    let unit: Option<Unit> = unit.word(&Unit::WORDS, &mut reading.mistakes);
    let of = spot.get("of").map_or(Some(Clock::When), |of| clock(&of, reading));
    let zone = spot.get("tz").map_or(Some(Zone::Asked), |tz| {
        let name = tz.text(&mut reading.mistakes)?;
        let zone = bucket::zone(name).map(Zone::Named);
        if zone.is_none() {
            reading.mistakes.add(&tz, &format!("there is no zone {name:?}; write such as Europe/Berlin"));
        }
        zone
    });
    Some((name?, Key::Bucket(unit?, of?, zone?)))
}

const OPERATIONS: [&str; 8] = ["count", "distinct", "first", "last", "min", "max", "sum", "latest"];

fn read_aggregate(
    spot: &Spot,
    reading: &mut Reading,
) -> Option<(String, Operation, Option<Condition<Subject>>)> {
    let mut known = vec!["name", "where", "n"];
    known.extend(OPERATIONS);
    spot.only(&known, &mut reading.mistakes)?;
    let named: Vec<(&str, Spot)> =
        OPERATIONS.iter().filter_map(|name| spot.get(name).map(|inner| (*name, inner))).collect();
    let [(operation, inner)] = &named[..] else {
        reading.mistakes.add(spot, &format!("one of {} belongs here", OPERATIONS.join(", ")));
        return None;
    };
    let condition = spot.get("where").map(|condition| read_condition(&condition, reading));
    let (own, read) = if *operation == "count" {
        let words = [("events", Operation::CountEvents), ("rows", Operation::CountRows)];
        (inner.text(&mut reading.mistakes)?.to_owned(), inner.word(&words, &mut reading.mistakes)?)
    } else {
        let (subject, own) = read_subject(inner, &[], reading)?;
        (format!("{operation}_{own}"), read_operation(operation, subject, spot, reading)?)
    };
    if let Some(n) = spot.get("n").filter(|_| *operation != "latest") {
        reading.mistakes.add(&n, "this goes with latest");
    }
    let name = match spot.get("name") {
        Some(name) => read_name(&name, reading)?,
        None if is_name(&own) => own,
        None => {
            reading.mistakes.add(spot, "name is missing");
            return None;
        }
    };
    match condition {
        Some(condition) => Some((name, read, Some(condition?))),
        None => Some((name, read, None)),
    }
}

fn read_operation(name: &str, subject: Subject, spot: &Spot, reading: &mut Reading) -> Option<Operation> {
    Some(match name {
        "distinct" => Operation::Distinct(subject),
        "first" => Operation::First(subject),
        "last" => Operation::Last(subject),
        "min" => Operation::Min(subject),
        "max" => Operation::Max(subject),
        "sum" => {
            if !matches!(subject, Subject::Value(_)) {
                reading.mistakes.add(spot, "only values of events can be added up");
            }
            Operation::Sum(subject)
        }
        _ => match spot.get("n") {
            Some(n) => Operation::Latest(subject, n.whole(1, LATEST_MOST, &mut reading.mistakes)?),
            None => {
                reading.mistakes.add(spot, "n is missing: how many");
                return None;
            }
        },
    })
}

fn read_sort(spot: Option<Spot>, spec: &Spec, reading: &mut Reading) -> Option<Vec<(usize, bool)>> {
    let Some(spot) = spot else { return Some(Vec::new()) };
    let spots = spot.one_or_list(COLUMNS_MOST, &mut reading.mistakes)?;
    let names = spec.column_names();
    let mut sort = Vec::new();
    for spot in spots {
        let (column, down) = match spot.get("column") {
            Some(column) => {
                spot.only(&["column", "order"], &mut reading.mistakes)?;
                let order = spot.get("order");
                let down = order.map_or(Some(false), |order| {
                    order.word(&[("asc", false), ("desc", true)], &mut reading.mistakes)
                });
                (column, down?)
            }
            None => (spot, false),
        };
        let words: Vec<(&str, usize)> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        let at = column.word(&words, &mut reading.mistakes)?;
        let list = match &spec.shape {
            Shape::Rows { columns, .. } => spec.several(columns[at].1),
            Shape::Groups { keys, aggregates, .. } => {
                at >= keys.len() && matches!(aggregates[at - keys.len()].1, Operation::Latest(..))
            }
        };
        if list {
            reading.mistakes.add(&column, "this column is a list, which has no order");
        }
        sort.push((at, down));
    }
    Some(sort)
}

/// Groups are made, and values added up, of what a row has one of.
fn check_single(root: &Spot, spec: &Spec, reading: &mut Reading) {
    let Shape::Groups { keys, aggregates, .. } = &spec.shape else { return };
    let keys = keys.iter().map(|(_, key)| match key {
        Key::Value(subject) => Some(*subject),
        Key::Bucket(..) => None,
    });
    let aggregates = aggregates.iter().map(|(_, operation, _)| operation.subject());
    let places = [("group_by", keys.collect::<Vec<_>>()), ("aggregates", aggregates.collect())];
    for (name, subjects) in places {
        let Some(spots) = root.get(name).and_then(|spot| spot.list(COLUMNS_MOST, &mut reading.mistakes))
        else {
            continue;
        };
        for (subject, spot) in subjects.into_iter().zip(spots) {
            if subject.is_some_and(|subject| spec.several(subject)) {
                reading
                    .mistakes
                    .add(&spot, "an event may have several of these: write each: resource or each: change");
            }
        }
    }
}
