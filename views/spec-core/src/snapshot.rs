//! The state as text, in parts, and back: as in `report_core::snapshot`, with other sections.
//!
//! A part is the seal (`report_core::bytes`) of: the header line, the part's number, the first sequence number, blocks.
//! A block is a section's byte, a count, and that many items; the block `END` has the number of items of each section,
//! then what stands beside them, and stands last in the last part. How much an item has follows from the specification.

use report_core::bytes::{put, seal, unseal, Reader};
use report_core::shape::Why;
use report_core::state::NO_TIME;
use report_core::texts::{Sought, TEXT_BYTES};

use crate::kept::{Kept, Runs, Unreadable};
use crate::plan::Plan;

/// Changed whenever the bytes or their meaning change; a state from another version is folded anew.
const HEADER: &[u8] = b"indelible/report/state/1\n";
/// No item begins past this many bytes of a part. An event of 1 MiB makes an item well under 2 MiB, so a part
/// stays under 12 MiB, and its base64 under the 16 MiB of the contract.
const PART_BYTES: usize = 10 << 20;

#[derive(Clone, Copy)]
enum Section {
    Texts,
    Events,
    Unreadable,
}

const SECTIONS: [Section; 3] = [Section::Texts, Section::Events, Section::Unreadable];
const END: u8 = SECTIONS.len() as u8;

const fn items(kept: &Kept, section: Section) -> u32 {
    match section {
        Section::Texts => kept.texts.len(),
        Section::Events => kept.len(),
        Section::Unreadable => kept.unreadable.len(),
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
pub fn part(plan: &Plan, kept: &Kept, place: Place) -> (String, Option<Place>) {
    let mut out = HEADER.to_vec();
    put(&mut out, u64::from(place.number));
    put(&mut out, kept.first);
    let next = put_blocks(plan, kept, &mut out, place);
    if next.is_none() {
        out.push(END);
        SECTIONS.iter().for_each(|section| put(&mut out, u64::from(items(kept, *section))));
        put(&mut out, u64::from(kept.folded));
        put(&mut out, kept.last_time);
    }
    (seal(out), next)
}

fn put_blocks(plan: &Plan, kept: &Kept, out: &mut Vec<u8>, place: Place) -> Option<Place> {
    let mut from = place.item;
    for (at, section) in SECTIONS.iter().enumerate().skip(place.section) {
        let (mut block, mut item) = (Vec::new(), from);
        while item < items(kept, *section) && out.len() + block.len() < PART_BYTES {
            put_item(plan, kept, *section, item, &mut block);
            item += 1;
        }
        if item > from {
            out.push(*section as u8);
            put(out, u64::from(item - from));
            out.append(&mut block);
        }
        if item < items(kept, *section) {
            return Some(Place { number: place.number + 1, section: at, item });
        }
        from = 0;
    }
    None
}

fn put_item(plan: &Plan, kept: &Kept, section: Section, item: u32, out: &mut Vec<u8>) {
    match section {
        Section::Texts => {
            let text = kept.texts.get(item + 1);
            put(out, text.len() as u64);
            out.extend(text.as_bytes());
        }
        Section::Events => put_event(plan, kept, item, out),
        Section::Unreadable => {
            let unreadable = kept.unreadable.get(item);
            put(out, u64::from(unreadable.offset));
            put(out, unreadable.time);
            out.push(unreadable.why as u8);
        }
    }
}

fn put_event(plan: &Plan, kept: &Kept, event: u32, out: &mut Vec<u8>) {
    let before = event.checked_sub(1);
    let (time, occurred) = (kept.times.get(event), kept.occurred.get(event));
    put(out, u64::from(kept.offsets.get(event) - before.map_or(0, |before| kept.offsets.get(before))));
    put(out, time - before.map_or(0, |before| kept.times.get(before)));
    let reads = plan.reads && kept.reads.get(event);
    out.push(u8::from(occurred != NO_TIME) | u8::from(reads) << 1);
    if occurred != NO_TIME {
        let late = occurred.wrapping_sub(time as i64);
        put(out, (late as u64) << 1 ^ (late >> 63) as u64);
    }
    for (at, column) in kept.singles.iter().enumerate().filter(|(at, _)| plan.kept[*at]) {
        debug_assert_eq!(column.len(), kept.len(), "source {at}");
        put(out, u64::from(column.get(event)));
    }
    for (told, runs) in [(plan.resources, &kept.resources), (plan.changes, &kept.changes)] {
        let Some(told) = told else { continue };
        let run = runs.of(event);
        put(out, run.len() as u64);
        for at in run {
            (0..3)
                .filter(|place| told[*place])
                .for_each(|place| put(out, u64::from(runs.told[place].get(at))));
        }
    }
}

/// A state that is being put together from parts.
pub struct Restoring {
    kept: Kept,
    parts: u32,
    ended: bool,
}

impl Restoring {
    /// Nothing yet.
    pub fn new(plan: &Plan) -> Self {
        Self { kept: Kept::new(plan), parts: 0, ended: false }
    }

    /// Takes the next part. After an error the rest is worthless.
    pub fn take(&mut self, plan: &Plan, number: u32, text: &str) -> Result<(), String> {
        if number != self.parts || self.ended {
            return Err(format!("part {number} does not follow {} parts", self.parts));
        }
        self.read(plan, text)
            .ok_or_else(|| format!("part {number} is not a state that this version of the view wrote"))?;
        self.parts += 1;
        Ok(())
    }

    /// The whole state.
    pub fn finish(self) -> Result<Kept, String> {
        if self.ended {
            Ok(self.kept)
        } else {
            Err(format!("the state is not whole after {} parts", self.parts))
        }
    }

    fn read(&mut self, plan: &Plan, text: &str) -> Option<()> {
        let bytes = unseal(text)?;
        let mut reader = Reader(bytes.strip_prefix(HEADER)?);
        let (number, first) = (reader.number()?, reader.number()?);
        if number != u64::from(self.parts) || (self.parts > 0 && first != self.kept.first) {
            return None;
        }
        self.kept.first = first;
        while !reader.0.is_empty() {
            self.read_block(plan, &mut reader)?;
        }
        Some(())
    }

    fn read_block(&mut self, plan: &Plan, reader: &mut Reader) -> Option<()> {
        let section = reader.byte()?;
        if section == END {
            for section in SECTIONS {
                (reader.number()? == u64::from(items(&self.kept, section))).then_some(())?;
            }
            self.kept.folded = u32::try_from(reader.number()?).ok()?;
            self.kept.last_time = reader.number()?;
            self.ended = true;
            return reader.0.is_empty().then_some(());
        }
        let section = *SECTIONS.get(usize::from(section))?;
        for _ in 0..reader.number()? {
            read_item(plan, &mut self.kept, section, reader)?;
        }
        Some(())
    }
}

fn read_item(plan: &Plan, kept: &mut Kept, section: Section, reader: &mut Reader) -> Option<()> {
    match section {
        Section::Texts => {
            let count = reader.number()?;
            let text = std::str::from_utf8(reader.bytes(count)?).ok()?;
            let expected = kept.texts.len() + 1;
            let fits = text.len() <= TEXT_BYTES;
            (fits && kept.texts.intern(text, Sought::new(text)).id == expected).then_some(())
        }
        Section::Events => read_event(plan, kept, reader),
        Section::Unreadable => {
            let offset = u32::try_from(reader.number()?).ok()?;
            let time = reader.number()?;
            let why = *Why::ALL.get(usize::from(reader.byte()?.checked_sub(1)?))?;
            kept.unreadable.push(Unreadable { offset, time, why });
            Some(())
        }
    }
}

fn read_event(plan: &Plan, kept: &mut Kept, reader: &mut Reader) -> Option<()> {
    let offset = u64::from(kept.offsets.last().unwrap_or(0)).checked_add(reader.number()?)?;
    let time = kept.times.last().unwrap_or(0).checked_add(reader.number()?)?;
    let flags = reader.byte()?;
    let occurred = if flags & 1 == 1 {
        let late = reader.number()?;
        (time as i64).wrapping_add((late >> 1) as i64 ^ -((late & 1) as i64))
    } else {
        NO_TIME
    };
    (flags < 4).then_some(())?;
    kept.push(plan, u32::try_from(offset).ok()?, time, occurred, flags & 2 == 2);
    let texts = kept.texts.len() + 1;
    for (at, column) in kept.singles.iter_mut().enumerate().filter(|(at, _)| plan.kept[*at]) {
        let _ = at;
        column.push(reader.below(texts)?);
    }
    for (told, runs) in [(plan.resources, &mut kept.resources), (plan.changes, &mut kept.changes)] {
        if let Some(told) = told {
            read_run(told, runs, texts, reader)?;
        }
    }
    Some(())
}

fn read_run(told: [bool; 3], runs: &mut Runs, texts: u32, reader: &mut Reader) -> Option<()> {
    for _ in 0..reader.below(u32::MAX)? {
        for place in (0..3).filter(|place| told[*place]) {
            runs.told[place].push(reader.below(texts)?);
        }
        // Where nothing is kept of each, a count that lies could run for ever.
        runs.len = runs.len.checked_add(1)?;
    }
    Some(())
}
