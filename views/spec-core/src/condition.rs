//! Conditions with the values of a question put in.

use report_core::texts::{Texts, NO_TEXT};
use rust_decimal::Decimal;

use crate::cell::{written_words, Cell};
use crate::spec::{Comparison, Condition, Constant, Operand, Test};
use crate::written::Written;

/// A test that can be made.
#[derive(Debug)]
enum Check {
    Is(Vec<Constant>),
    Like(Vec<Pattern>),
    Compare(Comparison, Constant),
}

/// A text in which `*` stands for anything.
#[derive(Debug)]
struct Pattern {
    pieces: Vec<String>,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(str::to_owned).collect() }
    }

    fn fits(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &self.pieces[..] else {
            return self.pieces.first().is_some_and(|only| only == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// The tests of a leaf, which must hold for one value.
#[derive(Debug, Default)]
pub struct Leaf {
    checks: Vec<Check>,
    exists: Option<bool>,
    /// What was found out about each text: 0 is nothing yet, 1 that it does not pass, 2 that it does.
    known: Vec<std::cell::Cell<u8>>,
}

impl Leaf {
    /// Puts the values of parameters in. A test whose parameter has none is left out, and a leaf without tests.
    pub fn new(tests: &[Test], parameters: &[Vec<Constant>]) -> Option<Self> {
        let mut leaf = Self::default();
        for test in tests {
            let operand = match test {
                Test::Exists(wanted) => {
                    leaf.exists = Some(*wanted);
                    continue;
                }
                Test::Is(operand) | Test::Like(operand) | Test::Compare(_, operand) => {
                    values(operand, parameters)
                }
            };
            let Some(first) = operand.first() else { continue };
            leaf.checks.push(match test {
                Test::Like(_) => Check::Like(operand.iter().filter_map(pattern).collect()),
                Test::Compare(comparison, _) => Check::Compare(*comparison, first.clone()),
                _ => Check::Is(operand.to_vec()),
            });
        }
        (leaf.exists.is_some() || !leaf.checks.is_empty()).then_some(leaf)
    }

    /// Makes room for what is found out about so many texts.
    fn remember(&mut self, texts: u32) {
        self.known = vec![std::cell::Cell::new(0); texts as usize + 1];
    }

    /// Whether it holds for what a row has one of.
    pub fn holds(&self, cell: Cell, texts: &Texts) -> bool {
        self.exists.is_none_or(|wanted| (cell != Cell::Null) == wanted)
            && (self.checks.is_empty() || self.passes(cell, texts))
    }

    /// Whether it holds for one of several values; nothing stands for none.
    pub fn holds_for_any(&self, cells: impl Iterator<Item = Cell> + Clone, texts: &Texts) -> bool {
        let exists = || cells.clone().any(|cell| cell != Cell::Null);
        self.exists.is_none_or(|wanted| exists() == wanted)
            && (self.checks.is_empty() || cells.clone().any(|cell| self.passes(cell, texts)))
    }

    /// The same of values that are not kept yet.
    pub fn holds_written<'a>(&self, values: impl Iterator<Item = Written<'a>> + Clone) -> bool {
        self.exists.is_none_or(|wanted| values.clone().next().is_some() == wanted)
            && (self.checks.is_empty()
                || values.clone().any(|value| self.checks.iter().all(|check| check.holds_written(value))))
    }

    fn passes(&self, cell: Cell, texts: &Texts) -> bool {
        let Cell::Text(text) = cell else {
            return cell != Cell::Null && self.checks.iter().all(|check| check.holds(cell, texts));
        };
        let known = self.known.get(text as usize);
        if let Some(found) = known.filter(|known| known.get() != 0) {
            return found.get() == 2;
        }
        let written = crate::written::read(texts.get(text));
        let passes = text != NO_TEXT && self.checks.iter().all(|check| check.holds_written(written));
        if let Some(known) = known {
            known.set(if passes { 2 } else { 1 });
        }
        passes
    }
}

fn values<'v>(operand: &'v Operand, parameters: &'v [Vec<Constant>]) -> &'v [Constant] {
    match operand {
        Operand::Constants(constants) => constants,
        Operand::Parameter(at) => &parameters[*at],
    }
}

fn pattern(constant: &Constant) -> Option<Pattern> {
    match constant {
        Constant::Text(text) => Some(Pattern::new(text)),
        _ => None,
    }
}

impl Check {
    fn holds(&self, cell: Cell, texts: &Texts) -> bool {
        let words = || cell.words(texts);
        match self {
            Self::Is(constants) => constants.iter().any(|constant| match constant {
                Constant::Text(text) => words().is_some_and(|words| words == text.as_str()),
                Constant::Number(number) => cell.number(texts) == Some(*number),
                Constant::Flag(flag) => cell == Cell::Flag(*flag),
                Constant::Time(time) => cell == Cell::Time(*time),
            }),
            Self::Like(patterns) => {
                words().is_some_and(|words| patterns.iter().any(|form| form.fits(&words)))
            }
            Self::Compare(comparison, Constant::Time(time)) => {
                matches!(cell, Cell::Time(other) if comparison.holds(&other, time))
            }
            Self::Compare(comparison, constant) => compares(*comparison, constant, cell.number(texts)),
        }
    }

    fn holds_written(&self, value: Written) -> bool {
        let words = || written_words(value);
        match self {
            Self::Is(constants) => constants.iter().any(|constant| match constant {
                Constant::Text(text) => words().is_some_and(|words| words == text),
                Constant::Number(number) => value.number() == Some(*number),
                Constant::Flag(flag) => value == Written::Flag(*flag),
                Constant::Time(_) => false,
            }),
            Self::Like(patterns) => words().is_some_and(|words| patterns.iter().any(|form| form.fits(words))),
            Self::Compare(comparison, constant) => compares(*comparison, constant, value.number()),
        }
    }
}

fn compares(comparison: Comparison, constant: &Constant, number: Option<Decimal>) -> bool {
    match (constant, number) {
        (Constant::Number(than), Some(number)) => comparison.holds(&number, than),
        _ => false,
    }
}

impl Comparison {
    fn holds<T: Ord>(self, value: &T, than: &T) -> bool {
        match self {
            Self::AtLeast => value >= than,
            Self::MoreThan => value > than,
            Self::AtMost => value <= than,
            Self::LessThan => value < than,
        }
    }
}

/// A condition that can be tried.
#[derive(Debug)]
pub enum Ready<S> {
    /// All hold.
    All(Vec<Ready<S>>),
    /// One holds.
    Any(Vec<Ready<S>>),
    /// It does not hold.
    Not(Box<Ready<S>>),
    /// The tests of a leaf hold.
    Leaf(S, Leaf),
}

impl<S: Copy> Ready<S> {
    /// Puts the values of parameters in; None is left of a condition of which all is left out.
    pub fn new(condition: &Condition<S>, parameters: &[Vec<Constant>], texts: &Texts) -> Option<Self> {
        let list = |inner: &[Condition<S>]| -> Option<Vec<Self>> {
            let ready: Vec<Self> = inner.iter().filter_map(|one| Self::new(one, parameters, texts)).collect();
            (!ready.is_empty()).then_some(ready)
        };
        match condition {
            Condition::All(inner) => list(inner).map(Self::All),
            Condition::Any(inner) => list(inner).map(Self::Any),
            Condition::Not(inner) => {
                Self::new(inner, parameters, texts).map(|inner| Self::Not(Box::new(inner)))
            }
            Condition::Leaf(subject, tests) => {
                let mut leaf = Leaf::new(tests, parameters)?;
                leaf.remember(texts.len());
                Some(Self::Leaf(*subject, leaf))
            }
        }
    }

    /// Whether it holds, where `leaf` says whether a leaf does.
    pub fn holds(&self, leaf: &mut impl FnMut(S, &Leaf) -> bool) -> bool {
        match self {
            Self::All(inner) => inner.iter().all(|one| one.holds(leaf)),
            Self::Any(inner) => inner.iter().any(|one| one.holds(leaf)),
            Self::Not(inner) => !inner.holds(leaf),
            Self::Leaf(subject, tests) => leaf(*subject, tests),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, fitting, other) in [
            ("a", "a", "ab"),
            ("a*", "a", "ba"),
            ("*a", "ba", "ab"),
            ("a*a", "aa", "a"),
            ("a*b*c", "a-b-b-c", "acb"),
            ("*", "", "\u{0}never"),
            ("a**b", "ab", "a"),
            ("*b*", "abc", "ac"),
        ] {
            assert!(Pattern::new(pattern).fits(fitting), "{pattern} {fitting}");
            assert!(pattern == "*" || !Pattern::new(pattern).fits(other), "{pattern} {other}");
        }
    }
}
