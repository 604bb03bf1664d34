//! Places inside a payload: `metadata.tenant`, `targets[0].id`, `labels."k8s.io/name"`.

use report_core::pieces::{elements, entries};
use report_core::scan::Piece;

/// The most names and indexes of a path.
pub const STEPS_MOST: usize = 32;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the member of an object.
    Name(String),
    /// To the element of a list, from 0.
    Index(usize),
}

/// A path: the name of a member of the payload, and where to go from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The member of the payload.
    pub top: String,
    /// The steps inside it.
    pub steps: Vec<Step>,
}

impl Path {
    /// Reads a path as it is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let top = name(&mut rest)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() + 1 >= STEPS_MOST {
                return Err(format!("a path has at most {STEPS_MOST} names"));
            }
            steps.push(step(&mut rest)?);
        }
        Ok(Self { top, steps })
    }

    /// A path of plain names, which are not read.
    pub fn of(names: &[&str]) -> Self {
        let steps = names[1..].iter().map(|name| Step::Name((*name).to_owned())).collect();
        Self { top: names[0].to_owned(), steps }
    }

    /// The last name, which is what a column is called where it has no name of its own.
    pub fn last_name(&self) -> &str {
        let names = self.steps.iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        names.unwrap_or(&self.top)
    }

    /// Goes on inside the member of the payload. Of duplicated members the last one counts.
    pub fn follow<'a>(&self, top: Piece<'a>) -> Option<Piece<'a>> {
        self.steps.iter().try_fold(top, |piece, step| match step {
            Step::Name(name) => member(piece, name),
            Step::Index(index) => element(piece, *index),
        })
    }
}

fn step(rest: &mut &str) -> Result<Step, String> {
    if let Some(inner) = rest.strip_prefix('[') {
        let (digits, after) = inner.split_once(']').ok_or("a [ has no ]")?;
        let index = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        *rest = after;
        return Ok(Step::Index(
            index.ok_or_else(|| format!("[{digits}] is no index: write [0] for the first"))?,
        ));
    }
    *rest = rest.strip_prefix('.').ok_or_else(|| format!("a dot or [ belongs before {rest:?}"))?;
    Ok(Step::Name(name(rest)?))
}

/// A name, in quotes where it has a dot, a bracket or a quote.
fn name(rest: &mut &str) -> Result<String, String> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let (name, after) = quoted.split_once('"').ok_or("a quote has no other end")?;
        *rest = after;
        return Ok(name.to_owned());
    }
    let end = rest.find(['.', '[', '"', ']']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    if name.is_empty() {
        return Err("a name is missing: a path is such as metadata.tenant or targets[0].id".to_owned());
    }
    Ok(name.to_owned())
}

fn member<'a>(piece: Piece<'a>, wanted: &str) -> Option<Piece<'a>> {
    let mut found = None;
    if piece.starts_with('{') {
        entries(piece, |name, scanner| {
            let value = scanner.value()?;
            if name == wanted {
                found = Some(value);
            }
            Ok(())
        })
        .ok()?;
    }
    found
}

fn element(piece: Piece, index: usize) -> Option<Piece> {
    let (mut found, mut at) = (None, 0);
    if piece.starts_with('[') {
        elements(piece, |element| {
            if at == index {
                found = Some(element);
            }
            at += 1;
        })
        .ok()?;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(payload: &'a str, path: &str) -> Option<&'a str> {
        let path = Path::parse(path).expect(path);
        path.follow(member(payload, &path.top)?)
    }

    #[test]
    fn paths_lead_where_they_say() {
        let payload = r#"{"a": {"b.c": [1, {"d": "x"}], "b": 2, "b": 3}, "a.b": 4, "l": []}"#;
        assert_eq!(at(payload, "a.b"), Some("3"));
        assert_eq!(at(payload, r#"a."b.c"[1].d"#), Some("\"x\""));
        assert_eq!(at(payload, r#""a.b""#), Some("4"));
        for nowhere in ["a.x", "a.b.c", "l[0]", "x", "a[0]", r#"a."b.c"[2]"#] {
            assert_eq!(at(payload, nowhere), None, "{nowhere}");
        }
        assert_eq!(Path::parse("a.b[3]").map(|path| path.last_name().to_owned()), Ok("b".to_owned()));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".a", "a.", "a..b", "a[", "a[x]", "a[]", "a[-1]", "a]b", r#"a"b""#, r#""a"#, "a[0]b"]
        {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        assert!(Path::parse(&vec!["a"; STEPS_MOST].join(".")).is_ok());
        assert!(Path::parse(&vec!["a"; STEPS_MOST + 1].join(".")).is_err());
    }
}
