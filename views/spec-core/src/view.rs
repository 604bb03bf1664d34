//! The view's seven functions, in plain types.

use report_core::question::{Pair, Refusal};
use report_core::state::Payload;

use crate::answer::{answer, bound};
use crate::asked;
use crate::describe;
use crate::kept::{Batch, Kept};
use crate::matching::Sight;
use crate::plan::Plan;
use crate::read_spec;
use crate::sample::sha256;
use crate::snapshot::{part, Place, Restoring};
use crate::spec::{Member, Spec};

/// A report over one log, as a specification says.
pub struct View {
    spec: Spec,
    plan: Plan,
    /// The member of each value of the specification.
    members: Vec<Option<Member>>,
    /// SHA-256 of the configuration as it was given, in hex.
    config_digest: String,
    facts: Vec<Pair>,
    kept: Kept,
    /// Where the part of the snapshot that will be asked for next begins.
    next_part: Option<(u32, Option<Place>)>,
    restoring: Option<Restoring>,
}

/// Describes the view before it has a specification.
pub fn describe() -> String {
    describe::unconfigured()
}

impl View {
    /// Starts from nothing. The error names each place of the specification that is wrong.
    pub fn init(config: &str, facts: Vec<Pair>) -> Result<Self, String> {
        let spec = read_spec::read(config)?;
        let plan = Plan::new(&spec);
        Ok(Self {
            members: spec.values.iter().map(|value| value.member).collect(),
            config_digest: sha256(config),
            kept: Kept::new(&plan),
            spec,
            plan,
            facts,
            next_part: None,
            restoring: None,
        })
    }

    /// Describes the report that the specification makes.
    pub fn describe(&self) -> String {
        describe::of(&self.spec)
    }

    /// Folds a batch; one that does not follow what was folded changes nothing.
    pub fn append<'a>(
        &mut self,
        batch: &'a Batch,
        payloads: impl ExactSizeIterator<Item = Payload<'a>>,
    ) -> Result<(), String> {
        self.next_part = None;
        self.kept.accept(batch, payloads.len())?;
        self.kept.fold(&self.plan, &self.members, batch, payloads);
        Ok(())
    }

    /// Answers a question with JSON.
    pub fn query(&self, params: &[Pair], body: &str, facts: &[Pair]) -> Result<String, Refusal> {
        let asked = asked::parse(&self.spec, &self.config_digest, params, body, facts, &self.facts)?;
        let bound = bound(&self.kept, &asked)?;
        let sight = Sight { spec: &self.spec, plan: &self.plan, kept: &self.kept, asked: &asked, bound };
        answer(&sight, &self.config_digest)
    }

    /// The state's part of that number. Parts are cheapest in order: each begins where the last one ended.
    pub fn snapshot(&mut self, number: u32) -> Option<String> {
        let (mut at, mut place) =
            self.next_part.filter(|(next, _)| *next <= number).unwrap_or((0, Some(Place::default())));
        loop {
            let (text, next) = part(&self.plan, &self.kept, place?);
            self.next_part = Some((at + 1, next));
            if at == number {
                return Some(text);
            }
            (at, place) = (at + 1, next);
        }
    }

    /// Puts the state together from parts; it is replaced with the last one.
    pub fn restore(&mut self, number: u32, text: &str, last: bool) -> Result<(), String> {
        let mut restoring = match (number, self.restoring.take()) {
            (1.., Some(restoring)) => restoring,
            _ => Restoring::new(&self.plan),
        };
        restoring.take(&self.plan, number, text)?;
        if last {
            self.kept = restoring.finish()?;
            self.next_part = None;
        } else {
            self.restoring = Some(restoring);
        }
        Ok(())
    }
}
