//! The pure core of the built-in views: events in, reports out.
//!
//! Knows nothing of WebAssembly or of the interface in `wit/view.wit`; `compliance-report` puts that around it, and
//! `spec-core` makes reports of its parts that a specification describes.
//! Reading order: `shape` (what an event says), `state` (what is kept), `question`, `matching`, `answer`,
//! `snapshot`.

pub mod answer;
pub mod bytes;
pub mod changes;
pub mod column;
pub mod cover;
mod index;
pub mod instant;
pub mod json;
mod matching;
mod parties;
pub mod party;
pub mod pieces;
pub mod question;
pub mod scan;
pub mod shape;
pub mod snapshot;
pub mod state;
pub mod texts;
pub mod view;
