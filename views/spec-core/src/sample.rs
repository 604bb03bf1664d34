//! Rows drawn by a seed, so that the same seed draws the same ones and anyone can check it.

use std::collections::BinaryHeap;

use report_core::question::{Refusal, LIMIT_MOST};
use sha2::{Digest as _, Sha256};

use crate::asked::shown;
use crate::matching::{Row, Sight};
use crate::spec::Operand;

/// How a sample was drawn.
pub struct Drawn {
    /// How many rows were asked for.
    pub size: usize,
    /// The seed.
    pub seed: String,
    /// How many rows it was drawn from.
    pub population: usize,
}

/// Draws rows; those that are drawn keep their order.
pub fn draw(sight: &Sight, rows: &[Row], sample: &(Operand, Operand)) -> Result<(Vec<Row>, Drawn), Refusal> {
    let value = |operand: &Operand| match operand {
        Operand::Constants(constants) => constants.first().map(shown),
        Operand::Parameter(at) => sight.asked.values[*at].first().map(shown),
    };
    let (size, seed) = (value(&sample.0).unwrap_or_default(), value(&sample.1).unwrap_or_default());
    let size = size.parse().ok().filter(|size| (1..=LIMIT_MOST).contains(size)).ok_or_else(|| {
        Refusal::Invalid(format!("The size of a sample is a whole number from 1 to {LIMIT_MOST}."))
    })?;
    let mut smallest: BinaryHeap<([u8; 32], usize)> = BinaryHeap::with_capacity(size + 1);
    for (at, row) in rows.iter().enumerate() {
        smallest.push((ticket(&seed, sight.kept.sequence(row.event), row.place), at));
        if smallest.len() > size {
            smallest.pop();
        }
    }
    let mut drawn: Vec<usize> = smallest.into_iter().map(|(_, at)| at).collect();
    drawn.sort_unstable();
    let drawn = drawn.into_iter().map(|at| rows[at]).collect();
    Ok((drawn, Drawn { size, seed, population: rows.len() }))
}

/// What decides whether a row is drawn.
fn ticket(seed: &str, sequence: u64, place: u32) -> [u8; 32] {
    Sha256::digest(format!("{seed}\n{sequence}\n{place}")).into()
}

/// Lower-case hex of the SHA-256 of a text.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
