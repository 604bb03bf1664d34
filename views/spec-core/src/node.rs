//! A specification as values with the lines they stand on, whether it was written as YAML or as JSON.

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Flag(bool),
    /// A number, as JSON writes it.
    Number(String),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Members in order; no name stands twice.
    Object(Vec<(String, Node)>),
}

/// A value, and the line it begins on where that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Counted from 1; None in JSON, which comes as one line.
    pub line: Option<usize>,
}

impl Node {
    /// What a message calls it.
    pub const fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Flag(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Object(_) => "an object",
        }
    }
}
