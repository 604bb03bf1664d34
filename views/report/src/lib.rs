//! The built-in view `report`: `spec-core` as a component of `wit/view.wit`.

use std::cell::RefCell;

use report_core::question::Refusal as CoreRefusal;
use report_core::state::Payload;
use spec_core::kept::Batch;
use spec_core::view::{describe, View};

wit_bindgen::generate!({ world: "audit-view", path: "../../wit/view.wit" });

use exports::indelible::view::view::{Answer, Batch as Events, Form, Guest, Refusal, Request};

thread_local! {
    /// The one view of this instance: the interface has no handle to pass it in.
    static VIEW: RefCell<Option<View>> = const { RefCell::new(None) };
}

const NOT_STARTED: &str = "init was not called";

struct Component;

impl Guest for Component {
    fn describe() -> String {
        VIEW.with_borrow(|view| view.as_ref().map_or_else(describe, View::describe))
    }

    fn init(config: String, facts: Vec<(String, String)>) -> Result<(), String> {
        let view = View::init(&config, facts)?;
        VIEW.set(Some(view));
        Ok(())
    }

    fn append(events: Events) -> Result<(), String> {
        if !events.forms.is_empty() && events.forms.len() != events.payloads.len() {
            return Err(format!("{} payloads came with {} forms", events.payloads.len(), events.forms.len()));
        }
        let payloads = events.payloads.iter().enumerate().map(|(at, text)| match events.forms.get(at) {
            None | Some(Form::Text) => Payload::Text(text),
            Some(Form::Base64) => Payload::NotUtf8,
            Some(Form::Erased) => Payload::Erased,
        });
        let batch = Batch {
            first_sequence: events.first_sequence,
            times: &events.times,
            writers: &events.writers,
            writer_of: &events.writer_of,
        };
        VIEW.with_borrow_mut(|view| view.as_mut().ok_or(NOT_STARTED)?.append(&batch, payloads))
    }

    fn query(request: Request) -> Result<Answer, Refusal> {
        let answer = VIEW.with_borrow(|view| match view {
            Some(view) => view.query(&request.params, &request.body, &request.facts),
            None => Err(CoreRefusal::Failed(NOT_STARTED.to_owned())),
        });
        match answer {
            Ok(body) => Ok(Answer { content_type: "application/json".to_owned(), body }),
            Err(CoreRefusal::Invalid(text)) => Err(Refusal::Invalid(text)),
            Err(CoreRefusal::Failed(text)) => Err(Refusal::Failed(text)),
        }
    }

    fn snapshot(part: u32) -> Option<String> {
        VIEW.with_borrow_mut(|view| view.as_mut()?.snapshot(part))
    }

    fn restore(part: u32, text: String, last: bool) -> Result<(), String> {
        VIEW.with_borrow_mut(|view| view.as_mut().ok_or(NOT_STARTED)?.restore(part, &text, last))
    }
}

export!(Component);
