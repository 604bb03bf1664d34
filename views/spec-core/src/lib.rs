//! The pure core of the built-in view `report`: a specification and events in, a table out.
//!
//! Knows nothing of WebAssembly; `report` puts that around it. Reading order: `spec` (what a report is), `source` and
//! `read_spec` (from YAML or JSON to it), `plan` (what must be kept), `pick` and `kept` (of each event), `asked`,
//! `matching`, `groups`, `answer`, `snapshot`.

pub mod answer;
pub mod asked;
pub mod bucket;
pub mod cell;
pub mod condition;
mod describe;
pub mod groups;
pub mod kept;
pub mod matching;
pub mod node;
pub mod path;
pub mod pick;
pub mod plan;
mod read_condition;
pub mod read_parameters;
pub mod read_spec;
mod read_value;
pub mod sample;
pub mod snapshot;
pub mod source;
pub mod spec;
mod spot;
pub mod view;
pub mod written;
mod yaml;
