//! Who acts and what is acted on.

use crate::column::Column;
use crate::index::hash_pair;
use crate::texts::{TextId, Texts, NO_TEXT};

/// Distinct pairs of texts, numbered from 0 in the order of their first appearance.
#[derive(Default)]
pub struct Pairs {
    pairs: Column<(TextId, TextId)>,
    /// An open-addressed table of pairs and their numbers.
    slots: Vec<Slot>,
}

type Slot = ((TextId, TextId), u32);

/// The number in a free slot.
const FREE: u32 = u32::MAX;

fn place(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = hash_pair(slot.0) as usize & mask;
    while slots[at].1 != FREE {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

impl Pairs {
    /// No pairs.
    pub const fn new() -> Self {
        Self { pairs: Column::new(), slots: Vec::new() }
    }

    /// How many there are.
    pub const fn len(&self) -> u32 {
        self.pairs.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pair of a number.
    pub fn get(&self, at: u32) -> (TextId, TextId) {
        self.pairs.get(at)
    }

    /// The number of a pair that is there.
    pub fn find(&self, pair: (TextId, TextId)) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash_pair(pair) as usize & mask;
        loop {
            match self.slots[at] {
                (_, FREE) => return None,
                (other, number) if other == pair => return Some(number),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// The number of a pair, which is added where it is new.
    pub fn intern(&mut self, pair: (TextId, TextId)) -> u32 {
        self.find(pair).unwrap_or_else(|| self.add(pair))
    }

    /// Adds a pair that is known to be new.
    pub fn add(&mut self, pair: (TextId, TextId)) -> u32 {
        if (self.len() as usize + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let number = self.pairs.push(pair);
        place(&mut self.slots, (pair, number));
        number
    }

    fn grow(&mut self) {
        let mut slots = vec![((NO_TEXT, NO_TEXT), FREE); (self.slots.len() * 2).max(16)];
        (0..).zip(self.pairs.iter()).for_each(|(number, pair)| place(&mut slots, (pair, number)));
        self.slots = slots;
    }

    /// The numbers of the pairs whose second is `second`, in order.
    pub fn with_second(&self, second: TextId) -> Vec<u32> {
        (0..).zip(self.pairs.iter()).filter(|(_, pair)| pair.1 == second).map(|(at, _)| at).collect()
    }
}

/// The party that stands for nobody and nothing.
pub const NOBODY: u32 = 0;

/// A name that a party was given by an event; they form a chain from the newest to the oldest.
#[derive(Clone, Copy)]
pub struct Naming {
    /// Whose name it is.
    pub party: u32,
    /// Index of the event.
    pub event: u32,
    /// The name.
    pub name: TextId,
    /// The naming before it, plus one; 0 is none.
    pub before: u32,
}

/// An event about a party; they form a chain from the newest to the oldest.
#[derive(Clone, Copy)]
struct Link {
    event: u32,
    /// The link before it, plus one; 0 is none.
    before: u32,
}

/// Where a party's chains begin.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// The newest link, plus one; 0 is none.
    link: u32,
    links: u32,
    /// The newest naming, plus one; 0 is none.
    naming: u32,
}

/// Actors, or resources: type and id are the identity, so that invoice 1 and user 1 stay two things. Names may
/// change, and each is kept with the event that told it, so that an answer as of an earlier sequence does not
/// depend on what came later. Number 0 is `NOBODY`.
pub struct Parties {
    /// Type and id of each.
    pub keys: Pairs,
    standings: Column<Standing>,
    /// All names ever told.
    pub namings: Column<Naming>,
    links: Column<Link>,
}

impl Default for Parties {
    fn default() -> Self {
        Self::new()
    }
}

impl Parties {
    /// Only `NOBODY`.
    pub fn new() -> Self {
        let mut parties = Self {
            keys: Pairs::new(),
            standings: Column::new(),
            namings: Column::new(),
            links: Column::new(),
        };
        parties.add((NO_TEXT, NO_TEXT));
        parties
    }

    /// The number of a party, which is added where it is new.
    pub fn intern(&mut self, key: (TextId, TextId)) -> u32 {
        match self.keys.find(key) {
            Some(party) => party,
            None => self.add(key),
        }
    }

    /// Adds a party that is known to be new.
    pub fn add(&mut self, key: (TextId, TextId)) -> u32 {
        self.standings.push(Standing::default());
        self.keys.add(key)
    }

    /// Notes that `event` told the party's name; a name told again changes nothing.
    pub fn name(&mut self, party: u32, event: u32, name: TextId) {
        if name == NO_TEXT {
            return;
        }
        let mut standing = self.standings.get(party);
        let before = standing.naming;
        let known = before.checked_sub(1).map(|at| self.namings.get(at).name);
        if known != Some(name) {
            let at = self.namings.push(Naming { party, event, name, before });
            standing.naming = at + 1;
            self.standings.set(party, standing);
        }
    }

    /// The name as told by the last event below `bound` that told one.
    pub fn name_at(&self, party: u32, bound: u32) -> TextId {
        let mut at = self.standings.get(party).naming;
        while let Some(naming) = at.checked_sub(1).map(|at| self.namings.get(at)) {
            if naming.event < bound {
                return naming.name;
            }
            at = naming.before;
        }
        NO_TEXT
    }

    /// Notes that `event`, which is newer than all noted before, is about the party.
    pub fn link(&mut self, party: u32, event: u32) {
        let standing = self.standings.get(party);
        let at = self.links.push(Link { event, before: standing.link });
        self.standings.set(party, Standing { link: at + 1, links: standing.links + 1, ..standing });
    }

    /// How many events are about the party.
    pub fn count(&self, party: u32) -> u32 {
        self.standings.get(party).links
    }

    /// The newest event about the party.
    pub fn newest(&self, party: u32) -> Option<u32> {
        self.standings.get(party).link.checked_sub(1).map(|at| self.links.get(at).event)
    }

    /// The events from index `from` on and below `to` that are about the party, the newest first.
    pub fn events(&self, party: u32, from: u32, to: u32) -> impl Iterator<Item = u32> + '_ {
        let newest = self.standings.get(party).link.checked_sub(1);
        let chain = std::iter::successors(newest, |at| self.links.get(*at).before.checked_sub(1));
        let events = chain.map(|at| self.links.get(at).event);
        events.take_while(move |event| *event >= from).filter(move |event| *event < to)
    }

    /// The parties that a question means by `text`: those with this id, of whatever type, and the one that is
    /// written `type:id` or `type/id` so.
    pub fn called(&self, texts: &Texts, text: &str) -> Vec<u32> {
        let mut found = texts.find(text).map_or_else(Vec::new, |id| self.keys.with_second(id));
        for (at, _) in text.match_indices([':', '/']) {
            let (kind, id) = (texts.find(&text[..at]), texts.find(&text[at + 1..]));
            if let (Some(kind), Some(id)) = (kind, id) {
                found.extend(self.keys.find((kind, id)));
            }
        }
        found
    }
}
