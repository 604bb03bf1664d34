//! A question: values of the specification's parameters, facts of the host, and where to go on.

use report_core::question::{parse_facts, parse_limit, single, Facts, Fnv, Pair, Refusal};

use crate::read_parameters::{from_query, word};
use crate::spec::{Constant, Parameter, Spec, Type};

/// A question that makes sense.
pub struct Asked {
    /// For each parameter its values, defaults put in; empty where there is none.
    pub values: Vec<Vec<Constant>>,
    /// What the host knows.
    pub facts: Facts,
    /// Rows of a page.
    pub limit: usize,
    /// How many rows were given before, and the sequence number that the first page rested on.
    pub resume: Option<(u64, u64)>,
    /// Of what decides which rows there are, and in which order.
    digest: u64,
}

/// Reads a question. `init_facts` are those given when the view began.
pub fn parse(
    spec: &Spec,
    config_digest: &str,
    params: &[Pair],
    body: &str,
    facts: &[Pair],
    init_facts: &[Pair],
) -> Result<Asked, Refusal> {
    if !body.trim().is_empty() {
        return Err(Refusal::Invalid("This view takes parameters in the URL and no body.".to_owned()));
    }
    for (name, _) in params {
        if !["limit", "cursor"].contains(&name.as_str())
            && !spec.parameters.iter().any(|one| one.name == *name)
        {
            return Err(unknown(spec, name));
        }
    }
    let values =
        spec.parameters.iter().map(|parameter| values_of(parameter, params)).collect::<Result<_, _>>()?;
    let facts = parse_facts(facts, init_facts)?;
    let limit = single(params, "limit")?.map_or(Ok(spec.limit), parse_limit)?;
    let digest = digest(config_digest, params, &facts);
    let mut asked = Asked { values, facts, limit, resume: None, digest };
    if let Some(cursor) = single(params, "cursor")? {
        asked.resume = Some(asked.parse_cursor(cursor)?);
    }
    Ok(asked)
}

fn unknown(spec: &Spec, name: &str) -> Refusal {
    let shown: String = name.chars().take(64).collect();
    let mut known: Vec<&str> = spec.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    known.extend(["limit", "cursor"]);
    Refusal::Invalid(format!("There is no parameter {shown:?}; this report knows {}.", known.join(", ")))
}

fn values_of(parameter: &Parameter, params: &[Pair]) -> Result<Vec<Constant>, Refusal> {
    let name = &parameter.name;
    let given: Vec<&str> =
        params.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect();
    if given.is_empty() {
        return if parameter.required {
            Err(Refusal::Invalid(format!("The parameter {name} is missing, and this report needs it.")))
        } else {
            Ok(parameter.default.clone())
        };
    }
    if given.len() > 1 && !parameter.repeat {
        return Err(Refusal::Invalid(format!("{name} is given twice; give it once.")));
    }
    given.into_iter().map(|text| value_of(parameter, text)).collect()
}

fn value_of(parameter: &Parameter, text: &str) -> Result<Constant, Refusal> {
    let name = &parameter.name;
    if text.is_empty() {
        return Err(Refusal::Invalid(format!("{name} is empty; leave it out to ask for all.")));
    }
    let value = from_query(text, parameter.kind).ok_or_else(|| {
        let what = match parameter.kind {
            Type::Time => "an RFC 3339 instant, such as 2025-01-31T09:30:00Z",
            Type::Flag => "true or false",
            Type::Integer => "a whole number",
            other => word(other),
        };
        Refusal::Invalid(format!("{name} is {what}."))
    })?;
    if parameter.one_of.is_empty() || parameter.one_of.contains(&value) {
        return Ok(value);
    }
    let known: Vec<String> = parameter.one_of.iter().map(shown).collect();
    Err(Refusal::Invalid(format!("{name} is one of {}.", known.join(", "))))
}

/// A constant as a query would write it.
pub fn shown(constant: &Constant) -> String {
    match constant {
        Constant::Text(text) => text.clone(),
        Constant::Number(number) => number.to_string(),
        Constant::Flag(flag) => flag.to_string(),
        Constant::Time(micros) => report_core::instant::format(*micros),
    }
}

/// FNV-1a over everything that decides which rows there are and in which order. It keeps mistakes out, not forgers:
/// a forged cursor only pages wrongly for whoever forged it.
fn digest(config_digest: &str, params: &[Pair], facts: &Facts) -> u64 {
    let mut digest = Fnv::new();
    digest.add_text(config_digest);
    for (name, value) in params.iter().filter(|(name, _)| !["limit", "cursor"].contains(&name.as_str())) {
        digest.add_text(name);
        digest.add_text(value);
    }
    for bound in [facts.from, facts.to] {
        digest.add_text(&bound.map_or_else(String::new, |bound| bound.to_string()));
    }
    digest.add_text(facts.basis.name());
    digest.add_text(facts.echo("tz").unwrap_or_default());
    digest.add_text(facts.echo("origin").unwrap_or_default());
    digest.add_text(env!("CARGO_PKG_VERSION"));
    digest.finish()
}

impl Asked {
    /// A cursor for the rest of an answer, good only for this question: it says on which sequence number the first
    /// page rested, so that events that come later move nothing.
    pub fn cursor(&self, given: u64, last: u64) -> String {
        let mut digest = Fnv::new();
        [self.digest, given, last].into_iter().for_each(|number| digest.add(&number.to_le_bytes()));
        format!("{:016x}.{last:x}.{given:x}", digest.finish())
    }

    fn parse_cursor(&self, text: &str) -> Result<(u64, u64), Refusal> {
        let numbers: Vec<u64> =
            text.split('.').filter_map(|part| u64::from_str_radix(part, 16).ok()).collect();
        if let [_, last, given] = numbers[..] {
            if self.cursor(given, last) == text {
                return Ok((given, last));
            }
        }
        Err(Refusal::Invalid(
            "That cursor does not belong to this question; ask again without cursor, and use next as it comes."
                .to_owned(),
        ))
    }
}
