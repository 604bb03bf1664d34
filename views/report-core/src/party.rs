//! Reads an actor or a resource, whichever way an event names it.

use std::borrow::Cow;

use crate::pieces::{elements, members, object};
use crate::scan::Piece;
use crate::shape::{kept, Why};

/// An actor or a resource as an event names it. All texts are at most `TEXT_BYTES` long.
#[derive(Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its type, where the event has one.
    pub kind: Option<Cow<'a, str>>,
    /// Its identifier.
    pub id: Cow<'a, str>,
    /// Its name, where the event has one.
    pub name: Option<Cow<'a, str>>,
}

impl Party<'_> {
    /// Type, id and name, in the order in which they are kept.
    pub fn texts(&self) -> [Option<&str>; 3] {
        [self.kind.as_deref(), Some(&self.id), self.name.as_deref()]
    }
}

members!(PartyMember {
    Id = "id" | "uid", Arn = "arn" | "ARN", Principal = "principalId", Path = "path",
    UserName = "userName", Name = "name" | "display_name" | "full_name", Email = "email" | "email_addr",
    InvokedBy = "invokedBy" | "invoked_by", Kind = "type", User = "user",
});

/// One party, or each element of an array.
pub fn parties(piece: Piece) -> Result<Vec<Party>, Why> {
    if !piece.starts_with('[') {
        return Ok(party(piece)?.into_iter().collect());
    }
    let mut found = Vec::new();
    elements(piece, |element| found.extend(party(element).transpose()))?;
    found.into_iter().collect()
}

/// A string or a number is an identifier; an object has one, or a name to stand for it.
pub fn party(piece: Piece) -> Result<Option<Party>, Why> {
    party_within(piece, true)
}

fn party_within(piece: Piece, nested: bool) -> Result<Option<Party>, Why> {
    if !piece.starts_with('{') {
        return Ok(kept(piece)?.map(|id| Party { kind: None, id, name: None }));
    }
    let Some(members) = object::<{ PartyMember::COUNT }>(piece, PartyMember::of)? else { return Ok(None) };
    let get = |member: PartyMember| members.get(member as usize).map_or(Ok(None), kept);
    let name = || Ok::<_, Why>(get(PartyMember::Name)?.or(get(PartyMember::UserName)?));
    for member in [PartyMember::Id, PartyMember::Arn, PartyMember::Principal, PartyMember::Path] {
        if let Some(id) = get(member)? {
            return Ok(Some(Party { kind: get(PartyMember::Kind)?, id, name: name()? }));
        }
    }
    // OCSF says who acted in `actor.user`.
    if let Some(user) = members.get(PartyMember::User as usize).filter(|_| nested) {
        if let Some(user) = party_within(user, false)? {
            return Ok(Some(user));
        }
    }
    let id = match name()? {
        Some(name) => Some(name),
        None => get(PartyMember::Email)?.or(get(PartyMember::InvokedBy)?),
    };
    let kind = get(PartyMember::Kind)?;
    Ok(id.map(|id| Party { kind, id, name: None }))
}
