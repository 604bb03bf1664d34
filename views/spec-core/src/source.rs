//! From the text of a specification, YAML or JSON, to nodes.

use report_core::pieces::{elements, entries};
use report_core::scan::{decode, Piece, Scanner};

use crate::node::{Kind, Node};
use crate::yaml;

/// The longest specification, in bytes.
pub const SPEC_BYTES: usize = 64 << 10;
/// The most objects and lists inside each other.
pub const DEPTH_MOST: usize = 32;

/// Reads a specification. A JSON text stands for what it says: that is how YAML travels in a JSON body.
pub fn read(text: &str) -> Result<Node, String> {
    if text.len() > SPEC_BYTES {
        return Err(format!("the specification has {} bytes; at most {SPEC_BYTES} are read", text.len()));
    }
    match json(text) {
        Some(piece) if piece.starts_with('"') => {
            let inner =
                decode(piece).ok().flatten().ok_or("the specification has half of a surrogate pair")?;
            read_inner(&inner)
        }
        _ => read_inner(text),
    }
}

fn read_inner(text: &str) -> Result<Node, String> {
    match json(text) {
        Some(piece) => from_json(piece, 0),
        None => yaml::read(text),
    }
}

/// The JSON value that all of a text is.
fn json(text: &str) -> Option<Piece<'_>> {
    let mut scanner = Scanner::new(text);
    let piece = scanner.value().ok()?;
    scanner.end().ok()?;
    Some(piece)
}

/// What is said of an object that names a member twice.
pub fn twice(name: &str) -> String {
    format!("{name:?} stands twice in one object")
}

/// What is said of what nests too deep.
pub fn too_deep() -> String {
    format!("more than {DEPTH_MOST} objects and lists stand inside each other")
}

fn from_json(piece: Piece, depth: usize) -> Result<Node, String> {
    if depth > DEPTH_MOST {
        return Err(too_deep());
    }
    let surrogate = |_| "the specification has half of a surrogate pair".to_owned();
    let kind = match piece.as_bytes()[0] {
        b'{' => {
            let mut members: Vec<(String, Piece)> = Vec::new();
            entries(piece, |name, scanner| {
                members.push((name.into_owned(), scanner.value()?));
                Ok(())
            })
            .map_err(surrogate)?;
            Kind::Object(object_of(members, depth)?)
        }
        b'[' => {
            let mut list = Vec::new();
            elements(piece, |element| list.push(element)).map_err(surrogate)?;
            Kind::List(
                list.into_iter().map(|element| from_json(element, depth + 1)).collect::<Result<_, _>>()?,
            )
        }
        b'"' => Kind::Text(decode(piece).map_err(surrogate)?.unwrap_or_default().into_owned()),
        b'n' => Kind::Null,
        b't' | b'f' => Kind::Flag(piece == "true"),
        _ => Kind::Number(piece.to_owned()),
    };
    Ok(Node { kind, line: None })
}

fn object_of(members: Vec<(String, Piece)>, depth: usize) -> Result<Vec<(String, Node)>, String> {
    let mut object: Vec<(String, Node)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        if object.iter().any(|(other, _)| *other == name) {
            return Err(twice(&name));
        }
        object.push((name, from_json(value, depth + 1)?));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_mean_the_same() -> Result<(), String> {
        let without_lines = |text: &str| read(text).map(strip);
        let json = r#"{"a":[1,-2.5e3,"x",true,null,{"b":"c: d"}],"e":"\ud83d\ude00"}"#;
        let yaml = "a:\n- 1\n- -2.5e3\n- x\n- true\n- ~\n- b: 'c: d'\ne: \u{1f600}\n";
        assert_eq!(without_lines(json)?, without_lines(yaml)?);
        let quoted = format!("{:?}", yaml).replace("\\u{1f600}", "\u{1f600}");
        assert_eq!(without_lines(&quoted)?, without_lines(yaml)?);
        Ok(())
    }

    fn strip(node: Node) -> Node {
        let kind = match node.kind {
            Kind::List(list) => Kind::List(list.into_iter().map(strip).collect()),
            Kind::Object(object) => {
                Kind::Object(object.into_iter().map(|(name, node)| (name, strip(node))).collect())
            }
            other => other,
        };
        Node { kind, line: None }
    }

    #[test]
    fn what_is_neither_is_refused_with_its_line() {
        let refused = |text: &str| read(text).expect_err(text);
        assert!(refused("a: 1\nb: [").contains("line"));
        assert!(refused("a: 1\na: 2").contains("twice"));
        assert!(refused(r#"{"a": 1, "a": 2}"#).contains("twice"));
        assert!(refused("a: &x 1\nb: *x").contains("anchor"));
        assert!(refused("a: !!int 1").contains("tag"));
        assert!(refused("a: 1\n---\nb: 2").contains("document"));
        assert!(refused(&format!("{}1{}", "[".repeat(40), "]".repeat(40))).contains("inside each other"));
        assert!(refused(&format!("a: {}1{}", "[".repeat(40), "]".repeat(40))).contains("inside each other"));
        assert!(refused(&"x".repeat(SPEC_BYTES + 1)).contains("at most"));
        assert!(refused("? [a]\n: b").contains("name"));
    }
}
