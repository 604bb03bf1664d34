//! YAML 1.2 with its core schema, without what makes a short text mean a long one: no anchors, aliases or tags.

use report_core::scan::Scanner;
use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::node::{Kind, Node};
use crate::source::{too_deep, twice, DEPTH_MOST};

/// A list or an object that is being read.
enum Open {
    List(Vec<Node>, usize),
    Object(Vec<(String, Node)>, Option<String>, usize),
}

/// Reads one document.
pub fn read(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("not YAML: {} (line {})", error.info(), error.marker().line()))?;
        let line = span.start.line();
        let at = |text: String| format!("{text} (line {line})");
        let done = match event {
            Event::DocumentStart(_) if root.is_some() => {
                return Err(at("there is more than one document".to_owned()))
            }
            Event::Alias(_) => return Err(at("an alias stands here; write out what it means".to_owned())),
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some()).map_err(at)?;
                open.push(Open::List(Vec::new(), line));
                None
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some()).map_err(at)?;
                open.push(Open::Object(Vec::new(), None, line));
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some()).map_err(at)?;
                Some(Node { kind: scalar(&text, style), line: Some(line) })
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(close),
            _ => None,
        };
        if open.len() > DEPTH_MOST {
            return Err(at(too_deep()));
        }
        if let Some(node) = done {
            match open.last_mut() {
                None => root = Some(node),
                Some(Open::List(list, _)) => list.push(node),
                Some(Open::Object(object, name, _)) => member(object, name, node).map_err(at)?,
            }
        }
    }
    Ok(root.unwrap_or(Node { kind: Kind::Null, line: None }))
}

fn plain(anchor: usize, tagged: bool) -> Result<(), String> {
    if anchor != 0 {
        return Err("an anchor stands here; write out what it means where it is used".to_owned());
    }
    if tagged {
        return Err("a tag stands here; leave it out".to_owned());
    }
    Ok(())
}

fn close(open: Open) -> Node {
    match open {
        Open::List(list, line) => Node { kind: Kind::List(list), line: Some(line) },
        Open::Object(object, _, line) => Node { kind: Kind::Object(object), line: Some(line) },
    }
}

/// Takes the name of a member, or the value of the one whose name was taken.
fn member(object: &mut Vec<(String, Node)>, name: &mut Option<String>, node: Node) -> Result<(), String> {
    match (name.take(), node.kind) {
        (Some(known), kind) => object.push((known, Node { kind, line: node.line })),
        (None, Kind::Text(text) | Kind::Number(text)) => {
            if object.iter().any(|(other, _)| *other == text) {
                return Err(twice(&text));
            }
            *name = Some(text);
        }
        (None, Kind::Null | Kind::Flag(_)) => {
            return Err("a name of a member is quoted if it is null, true or false".to_owned())
        }
        (None, _) => return Err("a name of a member is a text".to_owned()),
    }
    Ok(())
}

/// The core schema, with numbers as JSON writes them: `007` is a text.
fn scalar(text: &str, style: ScalarStyle) -> Kind {
    if style != ScalarStyle::Plain {
        return Kind::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Flag(true),
        "false" | "False" | "FALSE" => Kind::Flag(false),
        _ if number(text) => Kind::Number(text.to_owned()),
        _ => Kind::Text(text.to_owned()),
    }
}

/// Whether a text is a number of JSON.
pub fn number(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && scanner.value().is_ok_and(|piece| piece.len() == text.len())
}
