//! A view's own parameters: declared once, described as JSON Schema, read with refusals that name them.

use serde_json::{json, Map, Value};

use crate::life::Refusal;

const MOST_DIGITS: usize = 15;

enum Kind {
    Text,
    Whole(i64, i64),
    Choice(Vec<&'static str>),
    Flag,
}

/// A parameter of the URL.
pub struct Parameter {
    name: &'static str,
    kind: Kind,
    about: &'static str,
    default: Option<Value>,
    repeated: bool,
}

impl Parameter {
    fn new(name: &'static str, kind: Kind) -> Self {
        Parameter { name, kind, about: "", default: None, repeated: false }
    }

    /// Any text but the empty one.
    pub fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    /// A whole number from `least` to `most`.
    pub fn whole(name: &'static str, least: i64, most: i64) -> Self {
        Self::new(name, Kind::Whole(least, most))
    }

    /// One of `values`.
    pub fn choice(name: &'static str, values: &[&'static str]) -> Self {
        Self::new(name, Kind::Choice(values.to_vec()))
    }

    /// `true` or `false`.
    pub fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag)
    }

    /// Say what it is for.
    pub fn about(self, about: &'static str) -> Self {
        Parameter { about, ..self }
    }

    /// What it is where it is not given.
    pub fn default(self, value: impl Into<Value>) -> Self {
        Parameter { default: Some(value.into()), ..self }
    }

    /// It may be given several times.
    pub fn repeated(self) -> Self {
        Parameter { repeated: true, ..self }
    }

    fn read(&self, text: &str) -> Result<Value, Refusal> {
        let name = self.name;
        match &self.kind {
            Kind::Text => Ok(text.into()),
            Kind::Whole(least, most) => whole(text)
                .filter(|number| (least..=most).contains(&number))
                .map(Value::from)
                .ok_or_else(|| format!("{name} is a whole number from {least} to {most}").into()),
            Kind::Choice(values) if values.contains(&text) => Ok(text.into()),
            Kind::Choice(values) => Err(format!("{name} is one of: {}", values.join(", ")).into()),
            Kind::Flag if text == "true" || text == "false" => Ok((text == "true").into()),
            Kind::Flag => Err(format!("{name} is true or false").into()),
        }
    }

    fn describe(&self) -> Value {
        let mut about = Map::new();
        if !self.about.is_empty() {
            about.insert("description".into(), self.about.into());
        }
        let schema = match &self.kind {
            Kind::Text => json!({"type": "string"}),
            Kind::Whole(least, most) => json!({"maximum": most, "minimum": least, "type": "integer"}),
            Kind::Choice(values) => json!({"enum": values, "type": "string"}),
            Kind::Flag => json!({"type": "boolean"}),
        };
        if self.repeated {
            about.insert("items".into(), schema);
            about.insert("type".into(), "array".into());
            return about.into();
        }
        if let Some(default) = &self.default {
            about.insert("default".into(), default.clone());
        }
        if let Value::Object(members) = schema {
            about.extend(members);
        }
        about.into()
    }
}

fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let fine = (1..=MOST_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| text.parse().ok()).flatten()
}

/// The JSON Schema of all parameters as one object.
pub fn describe_all(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> =
        parameters.iter().map(|each| (each.name.to_owned(), each.describe())).collect();
    json!({"additionalProperties": false, "properties": properties, "type": "object"})
}

/// Read what was given. No parameter is ignored: a filter that is dropped silently makes a wrong report.
pub fn read_all(parameters: &[Parameter], given: &[(String, String)]) -> Result<Map<String, Value>, Refusal> {
    let mut values: Map<String, Value> =
        parameters.iter().map(|each| (each.name.to_owned(), Value::Array(Vec::new()))).collect();
    for (name, text) in given {
        let Some(parameter) = parameters.iter().find(|each| each.name == name) else {
            let names: Vec<&str> = parameters.iter().map(|each| each.name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(format!("{name} is no parameter of this view, which takes: {names}").into());
        };
        if text.is_empty() {
            return Err(format!("{name} is empty: leave it out, or give it a value").into());
        }
        let Some(Value::Array(found)) = values.get_mut(name) else { continue };
        if !found.is_empty() && !parameter.repeated {
            return Err(format!("give {name} once").into());
        }
        found.push(parameter.read(text)?);
    }
    for parameter in parameters.iter().filter(|each| !each.repeated) {
        let found = values[parameter.name].get(0).cloned();
        values[parameter.name] = found.or(parameter.default.clone()).unwrap_or(Value::Null);
    }
    Ok(values)
}
