//! Who acts, what is acted on, and how.

use crate::column::Column;
use crate::index::{hash_pair, Index};
use crate::texts::{Interned, Role, TextId, Texts, NO_TEXT};

/// The types of actions, numbered in the order of their first appearance; 0 is no type.
pub struct Actions {
    texts: Column<TextId>,
}

impl Default for Actions {
    fn default() -> Self {
        let mut texts = Column::default();
        texts.push(NO_TEXT);
        Self { texts }
    }
}

impl Actions {
    /// How many there are, no type included.
    pub const fn len(&self) -> u32 {
        self.texts.len()
    }

    /// The text of a type.
    pub fn get(&self, action: u32) -> TextId {
        self.texts.get(action)
    }

    /// The number of a type, which is added where it is new.
    pub fn intern(&mut self, texts: &mut Texts, text: Interned) -> u32 {
        match texts.leads_to(text, Role::Action) {
            0 => {
                let action = self.texts.push(text.id);
                texts.lead(text, Role::Action, action);
                action
            }
            action => action,
        }
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
    before: u32,
}

/// An event about a party; they form a chain from the newest to the oldest.
#[derive(Clone, Copy)]
struct Link {
    event: u32,
    /// The link before it, plus one; 0 is none.
    before: u32,
}

/// A party: what it is, and where its chains begin.
#[derive(Clone, Copy, Default)]
struct Standing {
    kind: TextId,
    id: TextId,
    /// Another party with the same id and another type, or 0.
    namesake: u32,
    /// The newest link, plus one; 0 is none.
    link: u32,
    links: u32,
    /// The newest naming, plus one; 0 is none.
    naming: u32,
}

/// Actors, or resources: type and id are the identity, so that invoice 1 and user 1 stay two things. Names may
/// change, and each is kept with the event that told it, so that an answer as of an earlier sequence does not
/// depend on what came later. Number 0 is `NOBODY`; the others count in the order of their first appearance.
pub struct Parties {
    role: Role,
    standings: Column<Standing>,
    /// Those whose id was another's before them, by type and id; the text of an id leads to its first one.
    namesakes: Index,
    /// All names ever told.
    pub namings: Column<Naming>,
    links: Column<Link>,
}

impl Parties {
    /// Only `NOBODY`.
    pub fn new(role: Role) -> Self {
        let mut standings = Column::default();
        standings.push(Standing::default());
        let (namings, links) = (Column::default(), Column::default());
        Self { role, standings, namesakes: Index::default(), namings, links }
    }

    /// How many there are, nobody included.
    pub const fn len(&self) -> u32 {
        self.standings.len()
    }

    /// Type and id of a party.
    pub fn key(&self, party: u32) -> (TextId, TextId) {
        let standing = self.standings.get(party);
        (standing.kind, standing.id)
    }

    /// The number of a party, which is added where it is new.
    pub fn intern(&mut self, texts: &mut Texts, kind: TextId, id: Interned) -> u32 {
        let first = texts.leads_to(id, self.role);
        if first == NOBODY {
            let party = self.standings.push(Standing { kind, id: id.id, ..Standing::default() });
            texts.lead(id, self.role, party);
            return party;
        }
        self.find_namesake(first, kind, id.id).unwrap_or_else(|| self.add_namesake(first, kind, id.id))
    }

    /// The number of a party that is there.
    fn find(&self, texts: &Texts, kind: TextId, id: Interned) -> Option<u32> {
        let first = texts.leads_to(id, self.role);
        self.find_namesake(first, kind, id.id).filter(|party| *party != NOBODY)
    }

    fn find_namesake(&self, first: u32, kind: TextId, id: TextId) -> Option<u32> {
        if self.standings.get(first).kind == kind {
            return Some(first);
        }
        self.namesakes.find(hash_pair((kind, id)), |party| self.key(party) == (kind, id))
    }

    fn add_namesake(&mut self, first: u32, kind: TextId, id: TextId) -> u32 {
        let mut standing = self.standings.get(first);
        let added = Standing { kind, id, namesake: standing.namesake, ..Standing::default() };
        let party = self.standings.push(added);
        standing.namesake = party;
        self.standings.set(first, standing);
        self.namesakes.insert(hash_pair((kind, id)), party);
        party
    }

    /// Looks at a party, so that it is near when it is needed.
    #[inline]
    pub fn approach(&self, party: u32) {
        std::hint::black_box(self.standings.get(party).link);
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
        let some = |party: u32| (party != NOBODY).then_some(party);
        let first = texts.find(text).and_then(|id| some(texts.leads_to(id, self.role)));
        let mut found: Vec<u32> =
            std::iter::successors(first, |party| some(self.standings.get(*party).namesake)).collect();
        for (at, _) in text.match_indices([':', '/']) {
            if let (Some(kind), Some(id)) = (texts.find(&text[..at]), texts.find(&text[at + 1..])) {
                found.extend(self.find(texts, kind.id, id));
            }
        }
        found
    }
}
