//! Parameters of the query, and the operands that name them.

use report_core::instant;

use crate::node::Kind;
use crate::read_spec::{is_name, Reading};
use crate::spec::{Constant, Operand, Parameter, Type, COLUMNS_MOST, CONSTANTS_MOST, LEAVES_MOST};
use crate::spot::{Mistakes, Spot};
use crate::written::number;

/// What the host, or every report, keeps for itself.
const KEPT: [&str; 14] = [
    "after",
    "before",
    "basis",
    "tz",
    "min_sequence",
    "consistency",
    "at",
    "version",
    "fold",
    "format",
    "wait",
    "limit",
    "cursor",
    "raw",
];

const TYPES: [(&str, Type); 5] = [
    ("text", Type::Text),
    ("integer", Type::Integer),
    ("number", Type::Number),
    ("time", Type::Time),
    ("flag", Type::Flag),
];

/// The parameters that are declared, and which of them are used.
#[derive(Default)]
pub struct Parameters {
    all: Vec<Parameter>,
    used: Vec<bool>,
    leaves: usize,
}

impl Parameters {
    /// Counts a leaf, and says whether there may be another.
    pub fn another_leaf(&mut self) -> bool {
        self.leaves += 1;
        self.leaves <= LEAVES_MOST
    }

    /// Whether a query always has a value of this one.
    pub fn always_there(&self, at: usize) -> bool {
        self.all[at].required || !self.all[at].default.is_empty()
    }

    /// An operand that is one constant of that type, or a parameter of it that is given once.
    pub fn single(&mut self, spot: &Spot, kind: Type, mistakes: &mut Mistakes) -> Option<Operand> {
        if let Some(at) = self.named(spot, mistakes)? {
            let parameter = &self.all[at];
            let number = |kind| matches!(kind, Type::Integer | Type::Number);
            if parameter.kind != kind && !(kind == Type::Number && number(parameter.kind)) {
                mistakes.add(
                    spot,
                    &format!("the parameter {} must be of another type here: {}", parameter.name, word(kind)),
                );
                return None;
            }
            if parameter.repeat {
                mistakes.add(
                    spot,
                    &format!("the parameter {} repeats, and only one value fits here", parameter.name),
                );
                return None;
            }
            return Some(Operand::Parameter(at));
        }
        Some(Operand::Constants(vec![constant(spot, kind, mistakes)?]))
    }

    /// An operand that is one or several constants of any type, or only texts, or a parameter.
    pub fn several(
        &mut self,
        spot: &Spot,
        texts: bool,
        most: usize,
        mistakes: &mut Mistakes,
    ) -> Option<Operand> {
        if let Some(at) = self.named(spot, mistakes)? {
            let parameter = &self.all[at];
            let fits = if texts { parameter.kind == Type::Text } else { parameter.kind != Type::Time };
            if !fits {
                mistakes.add(
                    spot,
                    &format!("the parameter {} has a type that does not fit here", parameter.name),
                );
                return None;
            }
            return Some(Operand::Parameter(at));
        }
        let spots = spot.one_or_list(most, mistakes)?;
        if spots.is_empty() {
            mistakes.add(spot, "at least one value is needed");
            return None;
        }
        let constants =
            spots
                .iter()
                .map(|spot| if texts { constant(spot, Type::Text, mistakes) } else { any(spot, mistakes) });
        let constants: Vec<_> = constants.collect();
        Some(Operand::Constants(constants.into_iter().collect::<Option<_>>()?))
    }

    /// The parameter that an operand names, or none where it names none.
    #[allow(clippy::option_option)] // nothing, a constant, or a parameter
    fn named(&mut self, spot: &Spot, mistakes: &mut Mistakes) -> Option<Option<usize>> {
        if !matches!(spot.node.kind, Kind::Object(_)) {
            return Some(None);
        }
        spot.only(&["param"], mistakes)?;
        let Some(inner) = spot.get("param") else {
            mistakes.add(spot, "param is missing");
            return None;
        };
        let name = inner.text(mistakes)?;
        let found = self.all.iter().position(|parameter| parameter.name == name);
        match found {
            Some(at) => self.used[at] = true,
            None => {
                mistakes.add(&inner, &format!("there is no parameter {name:?}; declare it under parameters"))
            }
        }
        found.map(Some)
    }

    /// All of them, with a mistake for each that nothing uses.
    pub fn finish(&mut self, root: &Spot, mistakes: &mut Mistakes) -> Vec<Parameter> {
        let declared = root.get("parameters").and_then(|spot| spot.members(mistakes)).unwrap_or_default();
        for (name, spot) in declared {
            let at = self.all.iter().position(|parameter| parameter.name == name);
            if at.is_some_and(|at| !self.used[at]) {
                mistakes.add(&spot, "nothing uses this parameter; bind it with {param: …}, or leave it out");
            }
        }
        std::mem::take(&mut self.all)
    }
}

/// Reads the declarations.
pub fn read_parameters(spot: Option<Spot>, reading: &mut Reading) {
    let Some(members) = spot.as_ref().and_then(|spot| spot.members(&mut reading.mistakes)) else { return };
    if let Some(spot) = spot.filter(|_| members.len() > COLUMNS_MOST) {
        reading.mistakes.add(&spot, &format!("at most {COLUMNS_MOST} are taken"));
        return;
    }
    for (name, spot) in members {
        if KEPT.contains(&name) {
            reading.mistakes.add(&spot, "this name has a meaning of its own in every query; take another");
        } else if !is_name(name) {
            reading
                .mistakes
                .add(&spot, "a name begins with a-z and has a-z, 0-9 and _ only, at most 64 of them");
        }
        // One that is wrong is declared all the same, so that what uses it is not told as well.
        let parameter = read_parameter(name, &spot, &mut reading.mistakes);
        reading.parameters.all.push(parameter);
        reading.parameters.used.push(false);
    }
}

fn read_parameter(name: &str, spot: &Spot, mistakes: &mut Mistakes) -> Parameter {
    let mut parameter = Parameter {
        name: name.to_owned(),
        kind: Type::Text,
        description: None,
        required: false,
        repeat: false,
        default: Vec::new(),
        one_of: Vec::new(),
    };
    if spot.only(&["type", "description", "required", "repeat", "default", "one_of"], mistakes).is_none() {
        return parameter;
    }
    let flag = |name: &str, mistakes: &mut Mistakes| {
        spot.get(name).is_some_and(|flag| flag.flag(mistakes) == Some(true))
    };
    parameter.kind = spot.get("type").and_then(|kind| kind.word(&TYPES, mistakes)).unwrap_or(Type::Text);
    parameter.description = spot.get("description").and_then(|text| text.text(mistakes)).map(str::to_owned);
    parameter.required = flag("required", mistakes);
    parameter.repeat = flag("repeat", mistakes);
    let kind = parameter.kind;
    if let Some(list) = spot.get("one_of").and_then(|list| list.list(CONSTANTS_MOST, mistakes)) {
        parameter.one_of = list.iter().filter_map(|value| constant(value, kind, mistakes)).collect();
    }
    if let Some(default) = spot.get("default") {
        let most = if parameter.repeat { CONSTANTS_MOST } else { 1 };
        let values =
            if parameter.repeat { default.one_or_list(most, mistakes) } else { Some(vec![default.clone()]) };
        let values = values.unwrap_or_default();
        parameter.default = values.iter().filter_map(|value| constant(value, kind, mistakes)).collect();
        if parameter.required {
            mistakes.add(&default, "what is required has no default");
        }
        let allowed = |value: &Constant| parameter.one_of.is_empty() || parameter.one_of.contains(value);
        if !parameter.default.iter().all(allowed) {
            mistakes.add(&default, "the default is none of one_of");
        }
    }
    parameter
}

/// The name of a type.
pub fn word(kind: Type) -> &'static str {
    TYPES.iter().find(|(_, other)| *other == kind).map_or("text", |(word, _)| *word)
}

/// A constant of that type.
fn constant(spot: &Spot, kind: Type, mistakes: &mut Mistakes) -> Option<Constant> {
    let read = match (&spot.node.kind, kind) {
        (Kind::Text(text), Type::Text) if !text.is_empty() => Some(Constant::Text(text.clone())),
        (Kind::Text(text), Type::Time) => instant::parse(text).map(Constant::Time),
        (Kind::Number(digits), Type::Number | Type::Integer) => {
            number(digits).filter(|number| kind == Type::Number || number.is_integer()).map(Constant::Number)
        }
        (Kind::Flag(flag), Type::Flag) => Some(Constant::Flag(*flag)),
        _ => None,
    };
    if read.is_none() {
        let what = match kind {
            Type::Text => "a text (in quotes where it looks like something else)",
            Type::Integer => "a whole number",
            Type::Number => "a number of at most 28 digits",
            Type::Time => "an RFC 3339 instant, such as \"2025-01-31T09:30:00Z\"",
            Type::Flag => "true or false",
        };
        mistakes.add(spot, &format!("{what} belongs here, not {}", spot.node.noun()));
    }
    read
}

/// A constant of whatever type it is.
fn any(spot: &Spot, mistakes: &mut Mistakes) -> Option<Constant> {
    let kind = match spot.node.kind {
        Kind::Number(_) => Type::Number,
        Kind::Flag(_) => Type::Flag,
        _ => Type::Text,
    };
    constant(spot, kind, mistakes)
}

/// Reads the text of a parameter in a query.
pub fn from_query(text: &str, kind: Type) -> Option<Constant> {
    match kind {
        Type::Text => (!text.is_empty()).then(|| Constant::Text(text.to_owned())),
        Type::Time => instant::parse(text).map(Constant::Time),
        Type::Flag => ["true", "false"].contains(&text).then(|| Constant::Flag(text == "true")),
        Type::Number | Type::Integer if crate::yaml::number(text) => {
            number(text).filter(|number| kind == Type::Number || number.is_integer()).map(Constant::Number)
        }
        Type::Number | Type::Integer => None,
    }
}
