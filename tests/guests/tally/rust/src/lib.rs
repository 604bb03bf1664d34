//! The view "tally" in Rust. `../README.md` says what every tally answers, byte for byte.

mod event;
mod json;
mod state;

use std::cell::RefCell;

use exports::indelible::view::view::{Answer, Batch, Guest, Refusal, Request};
use state::{Config, State};

wit_bindgen::generate!({ path: "../../../../wit/view.wit", world: "audit-view" });

const DESCRIPTION: &str = concat!(
    r#"{"description":"Counts events by their type.","parameters":{"additionalProperties":false,"properties":"#,
    r#"{"type":{"items":{"type":"string"},"type":"array"}},"type":"object"},"title":"Tally"}"#
);
const KNOWN: &str = "boom, echo, type";
const BIG: usize = 100 << 20;

/// What `init` was given, and what was folded since.
#[derive(Default)]
struct View {
    config: Config,
    config_text: String,
    facts: Vec<(String, String)>,
    state: State,
}

thread_local!(static VIEW: RefCell<View> = RefCell::default());

struct Tally;

impl Guest for Tally {
    fn describe() -> String {
        DESCRIPTION.to_owned()
    }

    fn init(config: String, facts: Vec<(String, String)>) -> Result<(), String> {
        let parsed = Config::parse(&config)?;
        VIEW.replace(View { config: parsed, config_text: config, facts, state: State::default() });
        Ok(())
    }

    fn append(events: Batch) -> Result<(), String> {
        VIEW.with_borrow_mut(|view| {
            view.config.check(events.first_sequence, events.payloads.len())?;
            view.state.fold(&events);
            Ok(())
        })
    }

    fn query(request: Request) -> Result<Answer, Refusal> {
        VIEW.with_borrow(|view| view.answer(&request))
    }

    fn snapshot(part: u32) -> Option<String> {
        VIEW.with_borrow(|view| view.state.part(part as usize))
    }

    fn restore(part: u32, text: String, last: bool) -> Result<(), String> {
        VIEW.with_borrow_mut(|view| view.state.restore(part, &text, last))
    }
}

impl View {
    fn answer(&self, request: &Request) -> Result<Answer, Refusal> {
        let mut types: Vec<&str> = Vec::new();
        let mut echo = false;
        for (name, value) in &request.params {
            match name.as_str() {
                "type" => types.push(value),
                "echo" => echo = true,
                "boom" => return boom(value),
                _ => return Err(Refusal::Invalid(format!("unknown parameter {name}; known: {KNOWN}"))),
            }
        }
        let mut body = self.state.report(if types.is_empty() { None } else { Some(&types) });
        if echo {
            body.pop();
            body.push_str(",\"~echo\":{\"body\":");
            json::string(&mut body, &request.body);
            body.push_str(",\"config\":");
            json::string(&mut body, &self.config_text);
            body.push_str(",\"facts\":");
            json::pairs(&mut body, &request.facts);
            body.push_str(",\"init\":");
            json::pairs(&mut body, &self.facts);
            body.push_str(",\"params\":");
            json::pairs(&mut body, &request.params);
            body.push_str("}}");
        }
        Ok(json_answer(body))
    }
}

fn boom(how: &str) -> Result<Answer, Refusal> {
    match how {
        "trap" => state::trap(),
        "loop" => loop {
            std::hint::black_box(());
        },
        "big" => Ok(json_answer("x".repeat(BIG))),
        "fail" => Err(Refusal::Failed("told to fail".to_owned())),
        _ => Err(Refusal::Invalid("boom takes big, fail, loop or trap".to_owned())),
    }
}

fn json_answer(body: String) -> Answer {
    Answer { content_type: "application/json".to_owned(), body }
}

export!(Tally);
