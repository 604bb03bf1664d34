//! Reading nodes so that what is wrong is told with the place where it stands, all of it at once.

use crate::node::{Kind, Node};

/// The most mistakes that are told at once.
const TOLD_MOST: usize = 10;

/// Mistakes found so far.
#[derive(Default)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Notes one at a place.
    pub fn add(&mut self, spot: &Spot, text: &str) {
        let path = if spot.path.is_empty() { "the specification" } else { &spot.path };
        let line = spot.node.line.map_or_else(String::new, |line| format!(" (line {line})"));
        self.0.push(format!("{path}: {text}{line}"));
    }

    /// What was read, or all that is wrong in one text.
    pub fn or<T>(self, read: Option<T>) -> Result<T, String> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => {
                let more = self.0.len().saturating_sub(TOLD_MOST);
                let told = self.0[..self.0.len().min(TOLD_MOST)].join("; ");
                Err(if more > 0 { format!("{told}; and {more} more") } else { told })
            }
        }
    }
}

/// A node and the path to it.
#[derive(Clone)]
pub struct Spot<'a> {
    /// The node.
    pub node: &'a Node,
    /// Such as `columns[2].path`; empty for all of it.
    pub path: String,
}

impl<'a> Spot<'a> {
    /// The whole of a specification.
    pub const fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    fn below(&self, node: &'a Node, step: &str) -> Self {
        let dot = if self.path.is_empty() || step.starts_with('[') { "" } else { "." };
        Self { node, path: format!("{}{dot}{step}", self.path) }
    }

    /// A member, where there is an object that has it. Null is as if it were not there.
    pub fn get(&self, name: &str) -> Option<Self> {
        let Kind::Object(members) = &self.node.kind else { return None };
        let found = members.iter().find(|(other, _)| other == name)?;
        (found.1.kind != Kind::Null).then(|| self.below(&found.1, name))
    }

    /// The members of what must be an object.
    pub fn members(&self, mistakes: &mut Mistakes) -> Option<Vec<(&'a str, Self)>> {
        let Kind::Object(members) = &self.node.kind else {
            mistakes.add(self, &format!("an object belongs here, not {}", self.node.noun()));
            return None;
        };
        Some(members.iter().map(|(name, node)| (name.as_str(), self.below(node, name))).collect())
    }

    /// Makes sure that it is an object without other members than those.
    pub fn only(&self, known: &[&str], mistakes: &mut Mistakes) -> Option<()> {
        for (name, spot) in self.members(mistakes)? {
            if !known.contains(&name) {
                mistakes.add(&spot, &format!("there is no such member here; there are {}", known.join(", ")));
            }
        }
        Some(())
    }

    /// The elements of a list.
    pub fn list(&self, most: usize, mistakes: &mut Mistakes) -> Option<Vec<Self>> {
        let Kind::List(list) = &self.node.kind else {
            mistakes.add(self, &format!("a list belongs here, not {}", self.node.noun()));
            return None;
        };
        if list.len() > most {
            mistakes.add(self, &format!("the list has {} elements; at most {most} are taken", list.len()));
            return None;
        }
        Some(list.iter().enumerate().map(|(at, node)| self.below(node, &format!("[{at}]"))).collect())
    }

    /// The elements of a list, or the one thing that stands there instead.
    pub fn one_or_list(&self, most: usize, mistakes: &mut Mistakes) -> Option<Vec<Self>> {
        match self.node.kind {
            Kind::List(_) => self.list(most, mistakes),
            _ => Some(vec![self.clone()]),
        }
    }

    /// A text that is not empty.
    pub fn text(&self, mistakes: &mut Mistakes) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text(text) if !text.is_empty() => Some(text),
            _ => {
                mistakes.add(self, &format!("a text belongs here, not {}", self.node.noun()));
                None
            }
        }
    }

    /// True or false.
    pub fn flag(&self, mistakes: &mut Mistakes) -> Option<bool> {
        match self.node.kind {
            Kind::Flag(flag) => Some(flag),
            _ => {
                mistakes.add(self, &format!("true or false belongs here, not {}", self.node.noun()));
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&self, least: usize, most: usize, mistakes: &mut Mistakes) -> Option<usize> {
        let number = match &self.node.kind {
            Kind::Number(number) => number.parse().ok().filter(|number| (least..=most).contains(number)),
            _ => None,
        };
        if number.is_none() {
            mistakes.add(self, &format!("a whole number from {least} to {most} belongs here"));
        }
        number
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], mistakes: &mut Mistakes) -> Option<T> {
        let text = self.text(mistakes)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            mistakes.add(self, &format!("there is no {text:?} here; there are {}", all.join(", ")));
        }
        found
    }
}
