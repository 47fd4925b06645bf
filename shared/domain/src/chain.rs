//! Option chain snapshots, kept by the hash of their content.

use serde::{Deserialize, Serialize};

use crate::ids::ChainId;
use crate::market::{OptionQuote, Points};
use crate::money::Price;
use crate::symbol::{OccSymbol, Underlying};
use crate::time::UtcNanos;

/// One series in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChainRow {
    /// The series.
    pub series: OccSymbol,
    /// Its standing quote.
    pub quote: OptionQuote,
    /// Open interest of the morning, where the source has it.
    pub open_interest: Option<u32>,
    /// Contracts traded today, where the source has it.
    pub volume: Option<u32>,
}

/// What a source could say about an underlying's options at one instant: rows in series order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainSnapshot {
    /// The underlying.
    pub underlying: Underlying,
    /// Its last value.
    pub spot: Points,
    /// When the snapshot was taken.
    pub ts: UtcNanos,
    /// The series within the window asked for, sorted.
    pub rows: Vec<ChainRow>,
}

impl ChainSnapshot {
    /// The snapshot's name: a hash over everything in it, the same on every machine.
    pub fn id(&self) -> ChainId {
        let mut bytes = Vec::with_capacity(64 + self.rows.len() * 64);
        let price = |it: Option<Price>| it.map_or(u32::MAX, Price::cents).to_le_bytes();
        let count = |it: Option<u32>| it.map_or(u64::MAX, u64::from).to_le_bytes();
        bytes.extend_from_slice(&self.spot.0.to_le_bytes());
        bytes.extend_from_slice(&self.ts.0.to_le_bytes());
        for row in &self.rows {
            bytes.extend_from_slice(row.series.to_string().as_bytes());
            bytes.extend_from_slice(&row.quote.ts.0.to_le_bytes());
            bytes.extend_from_slice(&price(row.quote.bid));
            bytes.extend_from_slice(&price(row.quote.ask));
            bytes.extend_from_slice(&row.quote.bid_size.to_le_bytes());
            bytes.extend_from_slice(&row.quote.ask_size.to_le_bytes());
            bytes.extend_from_slice(&count(row.open_interest));
            bytes.extend_from_slice(&count(row.volume));
        }
        ChainId::of(&[self.underlying.as_str().as_bytes(), &bytes])
    }

    /// The row of `series`.
    pub fn row(&self, series: &OccSymbol) -> Option<&ChainRow> {
        self.rows.iter().find(|it| it.series == *series)
    }
}
