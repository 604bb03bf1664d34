//! The view's seven functions, in plain types.

use crate::answer::{answer, TITLE};
use crate::json::Json;
use crate::pieces::Members;
use crate::question::{parse, Pair, Refusal, LIMIT_DEFAULT, LIMIT_MOST};
use crate::scan::Unreadable;
use crate::snapshot::{part, Place, Restoring};
use crate::state::{BadBatch, Payload, State};

/// What the report is for, in one sentence.
const DESCRIPTION: &str =
    "Who changed what, and when: changes by resource with the values before and after, \
     and actions by actor, within a window of time.";

/// A compliance report over one log.
#[derive(Default)]
pub struct View {
    state: State,
    facts: Vec<Pair>,
    /// Where the part of the snapshot that will be asked for next begins.
    next_part: Option<(u32, Option<Place>)>,
    restoring: Option<Restoring>,
}

impl View {
    /// Starts from nothing. The configuration has no members yet, so it is empty or `{}`.
    pub fn init(config: &str, facts: Vec<Pair>) -> Result<Self, String> {
        if config.trim().is_empty() {
            return Ok(Self { facts, ..Self::default() });
        }
        let mut members = Members::<0>::new();
        match members.read(config, |_| None) {
            Ok(true) if !members.others => Ok(Self { facts, ..Self::default() }),
            Ok(true) => Err("this view has no settings: leave config out, or make it {}".to_owned()),
            Ok(false) | Err(Unreadable) => Err("config is not a JSON object".to_owned()),
        }
    }

    /// Folds a batch; one that does not follow what was folded changes nothing.
    pub fn append<'a>(
        &mut self,
        first_sequence: u64,
        times: &[u64],
        payloads: impl ExactSizeIterator<Item = Payload<'a>>,
    ) -> Result<(), BadBatch> {
        self.next_part = None;
        self.state.accept(first_sequence, times, payloads.len())?;
        self.state.fold(times, payloads);
        Ok(())
    }

    /// Answers a question with JSON.
    pub fn query(&self, params: &[Pair], body: &str, facts: &[Pair]) -> Result<String, Refusal> {
        answer(&self.state, &parse(params, body, facts, &self.facts)?)
    }

    /// The state's part of that number. Parts are cheapest in order: each begins where the last one ended.
    pub fn snapshot(&mut self, number: u32) -> Option<String> {
        let (mut at, mut place) =
            self.next_part.filter(|(next, _)| *next <= number).unwrap_or((0, Some(Place::default())));
        loop {
            let (text, next) = part(&self.state, place?);
            self.next_part = Some((at + 1, next));
            if at == number {
                return Some(text);
            }
            (at, place) = (at + 1, next);
        }
    }

    /// Puts the state together from parts; it is replaced with the last one.
    pub fn restore(&mut self, number: u32, text: &str, last: bool) -> Result<(), String> {
        let mut restoring = match number {
            0 => Restoring::default(),
            _ => self.restoring.take().unwrap_or_default(),
        };
        restoring.take(number, text)?;
        if last {
            self.state = restoring.finish()?;
            self.next_part = None;
        } else {
            self.restoring = Some(restoring);
        }
        Ok(())
    }
}

/// The view's title, description and parameters, as JSON.
pub fn describe() -> String {
    let mut json = Json::new();
    json.open('{').key("title").text(TITLE).key("description").text(DESCRIPTION);
    json.key("version").text(env!("CARGO_PKG_VERSION"));
    json.key("parameters").open('{').key("type").text("object").key("additionalProperties").raw("false");
    json.key("properties").open('{');
    for (name, about) in [
        ("actor", "Only actions of these actors: the id as the events have it, or type:id."),
        ("resource", "Only events about these resources: the id as the events have it, or type:id."),
        ("type", "Only these types of action; record.* is all that begin with record. and a dot."),
    ] {
        json.key(name).open('{').key("type").text("array").key("description").text(about);
        json.key("items")
            .open('{')
            .key("type")
            .text("string")
            .key("minLength")
            .number(1)
            .close('}')
            .close('}');
    }
    json.key("limit").open('{').key("type").text("integer").key("minimum").number(1);
    json.key("maximum").number(LIMIT_MOST as u64).key("default").number(LIMIT_DEFAULT as u64);
    json.key("description")
        .text("The most rows of each list; cover.truncated says when there are more.")
        .close('}');
    json.key("cursor").open('{').key("type").text("string");
    json.key("description").text("Go on where an answer ended: its cover.next.").close('}');
    json.close('}').close('}').close('}');
    json.finish()
}
