//! The pure core of the built-in views: events in, reports out.
//!
//! Knows nothing of WebAssembly or of the interface in `wit/view.wit`; `compliance-report` puts that around it.
//! Reading order: `shape` (what an event says), `state` (what is kept), `question`, `matching`, `answer`,
//! `snapshot`.

pub mod answer;
mod changes;
mod column;
mod index;
mod instant;
mod json;
mod matching;
mod parties;
mod party;
mod pieces;
pub mod question;
pub mod scan;
pub mod shape;
pub mod snapshot;
pub mod state;
mod texts;
pub mod view;
