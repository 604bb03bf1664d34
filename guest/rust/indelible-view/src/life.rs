//! The trait that a view's author implements, and the life that the host gives it.

use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::{json, Value};

use crate::bindings::exports::indelible::view::view as wit;
use crate::event::{Event, Form};
use crate::keeping::{Folded, Parts, Restoring};
use crate::parameters::{describe_all, read_all, Parameter};
use crate::question::{fact, Answer, Question};
use crate::Object;

/// How a view says no, with a sentence that says what to do instead. `"…".into()` is an invalid question.
#[derive(Debug)]
pub enum Refusal {
    /// The configuration or the question is wrong (HTTP 422).
    Invalid(String),
    /// The view could not answer. From `append` either fails the view at that event, for good.
    Failed(String),
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Refusal::Invalid(text)
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Refusal::Invalid(text.to_owned())
    }
}

impl Refusal {
    fn into_text(self) -> String {
        match self {
            Refusal::Invalid(text) | Refusal::Failed(text) => text,
        }
    }
}

/// The log that a view is deployed over.
#[derive(Clone, Default, Debug)]
pub struct Log {
    /// Its id, a UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its origin, as checkpoints have it.
    pub origin: String,
}

/// A view: a fold over a log's events, and answers to questions about them.
///
/// Its fields are the state. It is snapshotted and restored by itself, through serde: a struct with named fields. What is
/// marked `#[serde(skip)]` is not kept.
pub trait AuditView: Serialize + DeserializeOwned {
    /// One line.
    const TITLE: &'static str;
    /// One line more.
    const DESCRIPTION: &'static str = "";
    /// Whether a question may have a body; one that comes all the same is refused.
    const TAKES_BODY: bool = false;

    /// What a question may ask beside its window.
    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }

    /// Start from nothing. `config` was given at deployment, and is empty where none was.
    fn init(config: &Object) -> Result<Self, Refusal>;

    /// Learn which log this is, right after `init`.
    fn told(&mut self, _log: &Log) {}

    /// Fold an event into the state. It must not matter where batches end.
    fn append(&mut self, event: &Event) -> Result<(), Refusal>;

    /// Answer a question.
    fn query(&self, question: &mut Question) -> Result<Answer, Refusal>;
}

/// One instance of a view, as the host drives it: every method is a function of `wit/view.wit`.
pub struct Life<V> {
    view: Option<V>,
    log: Log,
    folded: Folded,
    parts: Option<Parts>,
    next_part: u32,
    why: String, // a state cannot be kept
    restoring: Restoring,
}

impl<V: AuditView> Default for Life<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: AuditView> Life<V> {
    /// Before `init`.
    pub fn new() -> Self {
        Life {
            view: None,
            log: Log::default(),
            folded: Folded::default(),
            parts: None,
            next_part: 0,
            why: String::new(),
            restoring: Restoring::default(),
        }
    }

    /// Title, description and parameters as JSON.
    pub fn describe() -> String {
        let parameters = describe_all(&V::parameters());
        json!({"description": V::DESCRIPTION, "parameters": parameters, "title": V::TITLE}).to_string()
    }

    /// Start from nothing.
    pub fn init(&mut self, config: &str, facts: Vec<(String, String)>) -> Result<(), String> {
        let known = |name: &str| fact(&facts, name).unwrap_or_default().to_owned();
        let text = if config.trim().is_empty() { "{}" } else { config };
        let Ok(Value::Object(settings)) = serde_json::from_str(text) else {
            return Err("the configuration must be a JSON object".to_owned());
        };
        let mut view = V::init(&settings).map_err(Refusal::into_text)?;
        self.log = Log { id: known("log-id"), name: known("log-name"), origin: known("origin") };
        view.told(&self.log);
        self.view = Some(view);
        self.folded = Folded::default();
        Ok(())
    }

    /// Fold a batch, event by event.
    pub fn append(&mut self, batch: wit::Batch) -> Result<(), String> {
        let view = self.view.as_mut().ok_or("the host called before init")?;
        for (at, (time, text)) in batch.times.into_iter().zip(batch.payloads).enumerate() {
            let writer = batch.writer_of.get(at).map_or(0, |place| *place as usize);
            let form = match batch.forms.get(at) {
                None | Some(wit::Form::Text) => Form::Text,
                Some(wit::Form::Base64) => Form::Base64,
                Some(wit::Form::Erased) => Form::Erased,
            };
            let sequence = batch.first_sequence + at as u64;
            let event = Event::new(sequence, time as i64, batch.writers[writer].clone(), text, form);
            view.append(&event).map_err(Refusal::into_text)?;
            self.folded.add(&event);
        }
        Ok(())
    }

    /// Answer.
    pub fn query(&self, request: wit::Request) -> Result<wit::Answer, wit::Refusal> {
        let view = self.view.as_ref().ok_or_else(|| wit::Refusal::Failed("the host called before init".into()))?;
        self.ask(view, request)
            .map(|answer| wit::Answer { content_type: answer.content_type, body: answer.body })
            .map_err(|refusal| match refusal {
                Refusal::Invalid(text) => wit::Refusal::Invalid(text),
                Refusal::Failed(text) => wit::Refusal::Failed(text),
            })
    }

    fn ask(&self, view: &V, request: wit::Request) -> Result<Answer, Refusal> {
        let values = read_all(&V::parameters(), &request.params)?;
        if !request.body.is_empty() && !V::TAKES_BODY {
            return Err("this view takes no body: ask with parameters in the URL".into());
        }
        view.query(&mut Question::new(values, request.body, request.facts, self.folded, V::TITLE))
    }

    /// A part of the state; `None` past the last one, or at once where the state cannot be kept.
    pub fn snapshot(&mut self, part: u32) -> Option<String> {
        if part == 0 {
            self.why.clear();
            self.next_part = 0;
            let begun = Parts::new(self.view.as_ref()?, self.folded);
            self.parts = begun.map_err(|error| self.give_up(&error)).ok();
        }
        if part != self.next_part {
            return None;
        }
        self.next_part += 1;
        let text = self.parts.as_mut()?.next().unwrap_or_else(|error| {
            self.why = why(&error);
            None
        });
        if text.is_none() {
            self.parts = None;
        }
        text
    }

    fn give_up(&mut self, error: &str) {
        self.why = why(error);
    }

    /// Take a part of a state. After a snapshot that failed the error says why that did.
    pub fn restore(&mut self, part: u32, text: &str, last: bool) -> Result<(), String> {
        if !self.why.is_empty() {
            return Err(self.why.clone());
        }
        if part == 0 {
            self.restoring = Restoring::default();
        }
        self.restoring.add(part, text)?;
        if last {
            let (mut view, folded): (V, Folded) = std::mem::take(&mut self.restoring).finish()?;
            view.told(&self.log);
            self.view = Some(view);
            self.folded = folded;
        }
        Ok(())
    }
}

fn why(error: &str) -> String {
    format!("the state cannot be kept, only replayed: {error}")
}
