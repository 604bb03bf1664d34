//! The state as text, in parts, and back.
//!
//! A part is the base64 (RFC 4648, section 4) of: the header line, the part's number, the first sequence
//! number, blocks, and 8 bytes of FNV-1a (little-endian) over everything before. A block is a section's byte,
//! a count, and that many items; the block `END` has the number of items of each section instead and stands
//! last in the last part. Numbers are LEB128. What follows from the rest (indexes, who did what) is not stored.

use crate::bytes::{put, seal, unseal, Reader};
use crate::parties::Parties;
use crate::state::{Changed, Mark, Row, State, NO_TIME};
use crate::texts::{Sought, Texts};

/// Changed whenever the bytes or their meaning change; a state from another version is folded anew.
const HEADER: &[u8] = b"indelible/compliance-report/state/1\n";
/// No item begins past this many bytes of a part. An event of 1 MiB makes an item well under 2 MiB, so a part
/// stays under 12 MiB, and its base64 under the 16 MiB of the contract.
const PART_BYTES: usize = 10 << 20;

#[derive(Clone, Copy)]
enum Section {
    Texts,
    Actions,
    Actors,
    ActorNames,
    Resources,
    ResourceNames,
    Events,
}

const SECTIONS: [Section; 7] = [
    Section::Texts,
    Section::Actions,
    Section::Actors,
    Section::ActorNames,
    Section::Resources,
    Section::ResourceNames,
    Section::Events,
];
const END: u8 = SECTIONS.len() as u8;

fn items(state: &State, section: Section) -> u32 {
    match section {
        Section::Texts => state.texts.len(),
        // No type, and nobody, are there from the start.
        Section::Actions => state.actions.len() - 1,
        Section::Actors => state.actors.len() - 1,
        Section::ActorNames => state.actors.namings.len(),
        Section::Resources => state.resources.len() - 1,
        Section::ResourceNames => state.resources.namings.len(),
        Section::Events => state.len(),
    }
}

/// Where the next part begins.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Place {
    number: u32,
    section: usize,
    item: u32,
}

/// Writes the part that begins at `place`, and says where the next one does, if there is one.
pub fn part(state: &State, place: Place) -> (String, Option<Place>) {
    let mut out = HEADER.to_vec();
    put(&mut out, u64::from(place.number));
    put(&mut out, state.first);
    let next = put_blocks(state, &mut out, place);
    if next.is_none() {
        out.push(END);
        SECTIONS.iter().for_each(|section| put(&mut out, u64::from(items(state, *section))));
    }
    (seal(out), next)
}

fn put_blocks(state: &State, out: &mut Vec<u8>, place: Place) -> Option<Place> {
    let mut from = place.item;
    for (at, section) in SECTIONS.iter().enumerate().skip(place.section) {
        let (mut block, mut item) = (Vec::new(), from);
        while item < items(state, *section) && out.len() + block.len() < PART_BYTES {
            put_item(state, *section, item, &mut block);
            item += 1;
        }
        if item > from {
            out.push(*section as u8);
            put(out, u64::from(item - from));
            out.append(&mut block);
        }
        if item < items(state, *section) {
            return Some(Place { number: place.number + 1, section: at, item });
        }
        from = 0;
    }
    None
}

fn put_item(state: &State, section: Section, item: u32, out: &mut Vec<u8>) {
    match section {
        Section::Texts => {
            let text = state.texts.get(item + 1);
            put(out, text.len() as u64);
            out.extend(text.as_bytes());
        }
        Section::Actions => put(out, u64::from(state.actions.get(item + 1))),
        Section::Actors => put_pair(out, state.actors.key(item + 1)),
        Section::Resources => put_pair(out, state.resources.key(item + 1)),
        Section::ActorNames => put_naming(out, &state.actors, item),
        Section::ResourceNames => put_naming(out, &state.resources, item),
        Section::Events => put_event(state, item, out),
    }
}

fn put_pair(out: &mut Vec<u8>, pair: (u32, u32)) {
    put(out, u64::from(pair.0));
    put(out, u64::from(pair.1));
}

fn put_naming(out: &mut Vec<u8>, parties: &Parties, item: u32) {
    let naming = parties.namings.get(item);
    for number in [naming.party, naming.event, naming.name] {
        put(out, u64::from(number));
    }
}

fn put_event(state: &State, event: u32, out: &mut Vec<u8>) {
    let (time, occurred) = (state.times.get(event), state.occurred.get(event));
    let before = event.checked_sub(1).map_or(0, |before| state.times.get(before));
    out.push(state.marks.get(event).byte());
    put(out, time - before);
    out.push(u8::from(occurred != NO_TIME));
    if occurred != NO_TIME {
        let late = occurred.wrapping_sub(time as i64);
        put(out, (late as u64) << 1 ^ (late >> 63) as u64);
    }
    for number in [state.actor_of.get(event), state.action_of.get(event), state.outcome_of.get(event)] {
        put(out, u64::from(number));
    }
    put(out, state.touched(event).count() as u64);
    state.touched(event).for_each(|resource| put(out, u64::from(resource)));
    put(out, state.changed(event).len() as u64);
    for changed in state.changed(event).map(|at| state.changed.get(at)) {
        put_pair(out, (changed.field, changed.before));
        put(out, u64::from(changed.after));
    }
}

/// A state that is being put together from parts.
#[derive(Default)]
pub struct Restoring {
    state: State,
    parts: u32,
    ended: bool,
}

impl Restoring {
    /// Takes the next part. After an error the rest is worthless.
    pub fn take(&mut self, number: u32, text: &str) -> Result<(), String> {
        if number != self.parts || self.ended {
            return Err(format!("part {number} does not follow {} parts", self.parts));
        }
        self.read(text)
            .ok_or_else(|| format!("part {number} is not a state that this version of the view wrote"))?;
        self.parts += 1;
        Ok(())
    }

    /// The whole state.
    pub fn finish(self) -> Result<State, String> {
        if self.ended {
            Ok(self.state)
        } else {
            Err(format!("the state is not whole after {} parts", self.parts))
        }
    }

    fn read(&mut self, text: &str) -> Option<()> {
        let bytes = unseal(text)?;
        let mut reader = Reader(bytes.strip_prefix(HEADER)?);
        let number = reader.number()?;
        let first = reader.number()?;
        let expected = self.parts > 0 && first != self.state.first;
        if number != u64::from(self.parts) || expected {
            return None;
        }
        self.state.first = first;
        while !reader.0.is_empty() {
            self.read_block(&mut reader)?;
        }
        Some(())
    }

    fn read_block(&mut self, reader: &mut Reader) -> Option<()> {
        let section = reader.byte()?;
        if section == END {
            for section in SECTIONS {
                (reader.number()? == u64::from(items(&self.state, section))).then_some(())?;
            }
            self.ended = true;
            return reader.0.is_empty().then_some(());
        }
        let section = *SECTIONS.get(usize::from(section))?;
        for _ in 0..reader.number()? {
            read_item(&mut self.state, section, reader)?;
        }
        Some(())
    }
}

/// The number of a text, or of none.
fn text(reader: &mut Reader, state: &State) -> Option<u32> {
    reader.below(state.texts.len() + 1)
}

fn read_item(state: &mut State, section: Section, reader: &mut Reader) -> Option<()> {
    match section {
        Section::Texts => {
            let count = reader.number()?;
            let text = std::str::from_utf8(reader.bytes(count)?).ok()?;
            let expected = state.texts.len() + 1;
            let fits = text.len() <= crate::texts::TEXT_BYTES;
            (fits && state.texts.intern(text, Sought::new(text)).id == expected).then_some(())
        }
        Section::Actions => {
            let text = state.texts.interned(text(reader, state)?)?;
            let expected = state.actions.len();
            (state.actions.intern(&mut state.texts, text) == expected).then_some(())
        }
        Section::Actors => read_party(reader, &mut state.texts, &mut state.actors),
        Section::Resources => read_party(reader, &mut state.texts, &mut state.resources),
        Section::ActorNames => read_naming(reader, state.texts.len(), &mut state.actors),
        Section::ResourceNames => read_naming(reader, state.texts.len(), &mut state.resources),
        Section::Events => read_event(state, reader),
    }
}

fn read_party(reader: &mut Reader, texts: &mut Texts, parties: &mut Parties) -> Option<()> {
    let kind = reader.below(texts.len() + 1)?;
    let id = reader.below(texts.len() + 1)?;
    let id = texts.interned(id)?;
    let expected = parties.len();
    (parties.intern(texts, kind, id) == expected).then_some(())
}

fn read_naming(reader: &mut Reader, texts: u32, parties: &mut Parties) -> Option<()> {
    let party = reader.below(parties.len())?;
    let event = reader.below(u32::MAX)?;
    let name = reader.below(texts + 1)?;
    let before = parties.namings.len();
    parties.name(party, event, name);
    (parties.namings.len() == before + 1).then_some(())
}

fn read_event(state: &mut State, reader: &mut Reader) -> Option<()> {
    let event = state.len();
    let mark = Mark::from_byte(reader.byte()?)?;
    let time = state.times.last().unwrap_or(0).checked_add(reader.number()?)?;
    let occurred = match reader.byte()? {
        0 => NO_TIME,
        1 => {
            let late = reader.number()?;
            (time as i64).wrapping_add((late >> 1) as i64 ^ -((late & 1) as i64))
        }
        _ => return None,
    };
    let actor = reader.below(state.actors.len())?;
    let action = reader.below(state.actions.len())?;
    let outcome = text(reader, state)?;
    state.push(&Row { time, occurred, actor, action, outcome, mark });
    for _ in 0..reader.number()? {
        let resource = reader.below(state.resources.len())?;
        state.touch(event, resource);
    }
    for _ in 0..reader.number()? {
        let (field, before, after) = (text(reader, state)?, text(reader, state)?, text(reader, state)?);
        state.changed.push(Changed { field, before, after });
    }
    Some(())
}
