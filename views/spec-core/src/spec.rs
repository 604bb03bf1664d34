//! What a specification says: frozen, checked, with every name looked up.

use rust_decimal::Decimal;

use crate::bucket::Unit;
use crate::path::Path;

/// The most columns, keys, aggregates or parameters, each.
pub const COLUMNS_MOST: usize = 64;
/// The most leaves of conditions.
pub const LEAVES_MOST: usize = 256;
/// The most values that a list in a condition has.
pub const CONSTANTS_MOST: usize = 1_000;
/// The most values of an aggregate `latest`.
pub const LATEST_MOST: usize = 100;

/// What one row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    /// An event.
    Event,
    /// A resource that an event names.
    Resource,
    /// A field that an event changes, of a resource that it names.
    Change,
}

/// A member that is kept for each event, or for each of several things that an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// The key that wrote the event.
    Writer,
    /// The type of the action.
    Type,
    /// The actor's id.
    Actor,
    /// The actor's type.
    ActorType,
    /// The actor's name.
    ActorName,
    /// How it ended.
    Outcome,
    /// Where it came from.
    Ip,
    /// Why.
    Reason,
    /// A resource's type.
    ResourceType,
    /// A resource's id.
    Resource,
    /// A resource's name.
    ResourceName,
    /// A changed field.
    Field,
    /// Its value before.
    Before,
    /// Its value after.
    After,
}

/// What an event may have several of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    /// Resources.
    Resources,
    /// Changed fields.
    Changes,
}

impl Member {
    /// Of which of several things it is, and the place among what is told of each.
    pub const fn many(self) -> Option<(Many, usize)> {
        match self {
            Self::ResourceType => Some((Many::Resources, 0)),
            Self::Resource => Some((Many::Resources, 1)),
            Self::ResourceName => Some((Many::Resources, 2)),
            Self::Field => Some((Many::Changes, 0)),
            Self::Before => Some((Many::Changes, 1)),
            Self::After => Some((Many::Changes, 2)),
            _ => None,
        }
    }
}

/// What is read from an event: a member, and where it says nothing the first path that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The member.
    pub member: Option<Member>,
    /// The paths.
    pub paths: Vec<Path>,
}

/// A time that an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The one that the question goes by.
    When,
    /// Of receipt.
    Received,
    /// That the event claims.
    Occurred,
}

/// What a column, a condition or an aggregate looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The sequence number.
    Sequence,
    /// A time.
    Time(Clock),
    /// Whether the event only reads.
    Reads,
    /// Seconds from the time that the event claims to its receipt.
    Delay,
    /// One of `Spec::values`.
    Value(usize),
}

/// A constant of a condition, or a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// A text.
    Text(String),
    /// A number.
    Number(Decimal),
    /// True or false.
    Flag(bool),
    /// Microseconds since 1970.
    Time(i64),
}

/// What a condition compares with.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Any of these.
    Constants(Vec<Constant>),
    /// Any of the values of a parameter, by its place in `Spec::parameters`.
    Parameter(usize),
}

/// How numbers and times compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// At least as great.
    AtLeast,
    /// Greater.
    MoreThan,
    /// At most as great.
    AtMost,
    /// Less.
    LessThan,
}

/// One test of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The same.
    Is(Operand),
    /// A text of that form.
    Like(Operand),
    /// Whether there is a value.
    Exists(bool),
    /// Greater or less.
    Compare(Comparison, Operand),
}

/// A condition over subjects.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition<S> {
    /// All hold.
    All(Vec<Condition<S>>),
    /// One holds.
    Any(Vec<Condition<S>>),
    /// It does not hold.
    Not(Box<Condition<S>>),
    /// All tests hold for one value.
    Leaf(S, Vec<Test>),
}

/// What an aggregate says of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// How many events.
    CountEvents,
    /// How many rows.
    CountRows,
    /// How many different values.
    Distinct(Subject),
    /// The first value.
    First(Subject),
    /// The last value.
    Last(Subject),
    /// The least value.
    Min(Subject),
    /// The greatest value.
    Max(Subject),
    /// The numbers added up.
    Sum(Subject),
    /// The last values, the newest first.
    Latest(Subject, usize),
}

/// A zone of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Zone {
    /// That of the question.
    Asked,
    /// This one.
    Named(jiff::tz::TimeZone),
}

/// By what groups are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// A value.
    Value(Subject),
    /// A run of time.
    Bucket(Unit, Clock, Zone),
}

/// The columns of an answer, with what they show.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A list of rows.
    Rows {
        /// The columns.
        columns: Vec<(String, Subject)>,
        /// A number of rows and a seed, where rows are drawn.
        sample: Option<(Operand, Operand)>,
    },
    /// A table of groups: keys, then aggregates.
    Groups {
        /// By what groups are made.
        keys: Vec<(String, Key)>,
        /// What is said of each, of the rows for which the condition holds.
        aggregates: Vec<(String, Operation, Option<Condition<Subject>>)>,
        /// Which are shown; subjects are columns of the answer.
        having: Condition<usize>,
    },
}

/// How the text of a parameter is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// As it is.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// An RFC 3339 instant.
    Time,
    /// True or false.
    Flag,
}

/// What a query may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// How it is read.
    pub kind: Type,
    /// For whoever asks.
    pub description: Option<String>,
    /// Whether a query needs it.
    pub required: bool,
    /// Whether it may be given several times.
    pub repeat: bool,
    /// Where the query says none.
    pub default: Vec<Constant>,
    /// What it may be; empty is anything.
    pub one_of: Vec<Constant>,
}

/// A specification.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What the report is called.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// What one row stands for.
    pub each: Each,
    /// Which rows count.
    pub condition: Condition<Subject>,
    /// What a query may ask for.
    pub parameters: Vec<Parameter>,
    /// Everything that is read from events, each once.
    pub values: Vec<Value>,
    /// What the answer shows.
    pub shape: Shape,
    /// Columns of the answer, and whether each goes from the greatest down.
    pub sort: Vec<(usize, bool)>,
    /// Rows of a page where the query does not say.
    pub limit: usize,
}

impl Spec {
    /// Whether a row has a list of this subject's values instead of one.
    pub fn several(&self, subject: Subject) -> bool {
        let Subject::Value(at) = subject else { return false };
        match self.values[at].member.and_then(Member::many) {
            Some((Many::Resources, _)) => self.each == Each::Event,
            Some((Many::Changes, _)) => self.each != Each::Change,
            None => false,
        }
    }

    /// The names of the answer's columns.
    pub fn column_names(&self) -> Vec<&str> {
        match &self.shape {
            Shape::Rows { columns, .. } => columns.iter().map(|(name, _)| name.as_str()).collect(),
            Shape::Groups { keys, aggregates, .. } => {
                let keys = keys.iter().map(|(name, _)| name.as_str());
                keys.chain(aggregates.iter().map(|(name, ..)| name.as_str())).collect()
            }
        }
    }
}
