//! What is asked: parameters of the query, and facts of the host.

/// The most rows an answer gives.
pub const LIMIT_MOST: usize = 10_000;
/// The rows an answer gives when the question does not say.
pub const LIMIT_DEFAULT: usize = 1_000;
/// The parameters that the view knows.
pub const PARAMETERS: [&str; 5] = ["actor", "resource", "type", "limit", "cursor"];

/// A pair of texts, as parameters and facts come.
pub type Pair = (String, String);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The question is wrong; the text says how to ask it right.
    Invalid(String),
    /// The view could not answer.
    Failed(String),
}

/// Which time a window is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// The time of receipt, which is proved.
    #[default]
    Received,
    /// The time that the event claims.
    Occurred,
}

impl Basis {
    /// As the host writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Occurred => "occurred",
        }
    }
}

/// What the host knows. A fact that was not given is None.
#[derive(Debug, Default)]
pub struct Facts {
    /// First instant of the window, microseconds since 1970.
    pub from: Option<i64>,
    /// First instant after the window.
    pub to: Option<i64>,
    /// Which time the window is over.
    pub basis: Basis,
    /// The last sequence number that the answer may rest on.
    pub at_sequence: Option<u64>,
    /// The window as it was asked for, its time zone, when that was, and which log: echoed.
    pub echoed: Vec<Pair>,
}

impl Facts {
    /// A fact that is echoed as it came.
    pub fn echo(&self, name: &str) -> Option<&str> {
        self.echoed.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Where an answer goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Change rows given so far.
    pub rows: u64,
    /// Actors given so far.
    pub actors: u64,
}

/// A question that makes sense.
#[derive(Debug, Default)]
pub struct Question {
    /// Actors, any of which will do; empty asks for all.
    pub actors: Vec<String>,
    /// Resources, the same.
    pub resources: Vec<String>,
    /// Types of action, the same; one that ends in `*` is a prefix.
    pub actions: Vec<String>,
    /// The most rows of each list to give.
    pub limit: usize,
    /// What the host knows.
    pub facts: Facts,
    /// Where to go on, and the sequence number that the first page rested on.
    pub resume: Option<(Position, u64)>,
}

/// Reads a question. `init_facts` are those given when the view began.
pub fn parse(params: &[Pair], body: &str, facts: &[Pair], init_facts: &[Pair]) -> Result<Question, Refusal> {
    if !body.trim().is_empty() {
        return Err(invalid("This view takes parameters in the URL and no body."));
    }
    let mut question =
        Question { limit: LIMIT_DEFAULT, facts: parse_facts(facts, init_facts)?, ..Question::default() };
    for (name, value) in params {
        let list = match name.as_str() {
            "actor" => &mut question.actors,
            "resource" => &mut question.resources,
            "type" => &mut question.actions,
            "limit" | "cursor" => continue,
            _ => return Err(unknown(name)),
        };
        if value.is_empty() {
            return Err(invalid(&format!("{name} is empty; leave it out to ask for all.")));
        }
        list.push(value.clone());
    }
    if let Some(limit) = single(params, "limit")? {
        question.limit = parse_limit(limit)?;
    }
    if let Some(cursor) = single(params, "cursor")? {
        question.resume = Some(parse_cursor(&question, cursor)?);
    }
    Ok(question)
}

fn invalid(text: &str) -> Refusal {
    Refusal::Invalid(text.to_owned())
}

fn unknown(name: &str) -> Refusal {
    let shown: String = name.chars().take(64).collect();
    Refusal::Invalid(format!("There is no parameter {shown:?}; this view knows {}.", PARAMETERS.join(", ")))
}

/// The value of a parameter that may be given once.
pub fn single<'a>(params: &'a [Pair], wanted: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = params.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let first = values.next();
    match values.next() {
        Some(_) => Err(invalid(&format!("{wanted} is given twice; give it once."))),
        None => Ok(first),
    }
}

/// Reads how many rows a page has.
pub fn parse_limit(text: &str) -> Result<usize, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=LIMIT_MOST).contains(limit));
    limit.ok_or_else(|| invalid(&format!("limit is a whole number from 1 to {LIMIT_MOST}.")))
}

/// Reads what the host knows; `init_facts` are those given when the view began.
pub fn parse_facts(facts: &[Pair], init_facts: &[Pair]) -> Result<Facts, Refusal> {
    let mut parsed = Facts { echoed: init_facts.to_vec(), ..Facts::default() };
    for (name, value) in facts {
        match name.as_str() {
            "window-from" => parsed.from = Some(whole(name, value)?),
            "window-to" => parsed.to = Some(whole(name, value)?),
            "at-sequence" => parsed.at_sequence = Some(whole(name, value)?),
            "basis" => parsed.basis = parse_basis(value)?,
            _ => parsed.echoed.push((name.clone(), value.clone())),
        }
    }
    Ok(parsed)
}

fn whole<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| {
        Refusal::Failed(format!("the host gave the fact {name} as something else than a whole number"))
    })
}

fn parse_basis(value: &str) -> Result<Basis, Refusal> {
    let all = [Basis::Received, Basis::Occurred];
    let known = all.into_iter().find(|basis| basis.name() == value);
    known.ok_or_else(|| invalid("basis is received (the time of receipt, which is proved) or occurred (the time that the event claims)."))
}

/// A cursor for the rest of an answer: opaque outside, good only for this question, where it says on which
/// sequence number the first page rested, so that events that come later move nothing.
pub fn cursor(question: &Question, position: Position, last: u64) -> String {
    let digest = digest(question, position, last);
    format!("{digest:016x}.{last:x}.{:x}.{:x}", position.rows, position.actors)
}

fn parse_cursor(question: &Question, text: &str) -> Result<(Position, u64), Refusal> {
    let numbers: Vec<u64> = text.split('.').filter_map(|part| u64::from_str_radix(part, 16).ok()).collect();
    if let [_, last, rows, actors] = numbers[..] {
        let position = Position { rows, actors };
        if cursor(question, position, last) == text {
            return Ok((position, last));
        }
    }
    Err(invalid(
        "That cursor does not belong to this question; ask again without cursor, and use next as it comes.",
    ))
}

/// FNV-1a over everything that decides which rows there are and in which order. It keeps mistakes out, not
/// forgers: a forged cursor only pages wrongly for whoever forged it.
fn digest(question: &Question, position: Position, last: u64) -> u64 {
    let facts = &question.facts;
    let mut digest = Fnv::new();
    for list in [&question.actors, &question.resources, &question.actions] {
        digest.add(&(list.len() as u64).to_le_bytes());
        list.iter().for_each(|text| digest.add_text(text));
    }
    for bound in [facts.from, facts.to] {
        digest.add_text(&bound.map_or_else(String::new, |bound| bound.to_string()));
    }
    digest.add_text(facts.basis.name());
    digest.add_text(facts.echo("origin").unwrap_or_default());
    digest.add_text(env!("CARGO_PKG_VERSION"));
    for number in [position.rows, position.actors, last] {
        digest.add(&number.to_le_bytes());
    }
    digest.finish()
}

/// FNV-1a with 64 bits.
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Fnv {
    /// Of nothing.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Takes a text in, told apart from the one that follows.
    pub fn add_text(&mut self, text: &str) {
        self.add(&(text.len() as u64).to_le_bytes());
        self.add(text.as_bytes());
    }

    /// The digest.
    pub const fn finish(&self) -> u64 {
        self.0
    }
}
