//! Sale conditions of the recorded equity files (spec 1, "Which prints count").

use domain::market::{PrintCounts, SourceError};

use super::table::Table;

/// Average price, derivatively priced.
const VOLUME_ONLY: u32 = 0x10_0000 | 0x200;
/// Official open, official close.
const OFFICIAL: u32 = 0x400_0000 | 0x100_0000;

/// What a print updates.
pub(super) const fn counts(conditions: u32, suspicious: bool) -> PrintCounts {
    if suspicious || conditions & OFFICIAL != 0 {
        PrintCounts::Nowhere
    } else if conditions & VOLUME_ONLY != 0 {
        PrintCounts::VolumeOnly
    } else {
        PrintCounts::Everywhere
    }
}

/// What the row's print updates, by its bit mask in column `mask` and its mark in column `suspicious`.
pub(super) fn counts_of(table: &Table, mask: usize, suspicious: usize) -> Result<PrintCounts, SourceError> {
    let hex = "sale conditions as a hexadecimal bit mask";
    let conditions = table.read(mask, hex, |text| u32::from_str_radix(text, 16).ok())?;
    let is_suspicious = table.read(suspicious, "0 or 1", |text| match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    })?;
    Ok(counts(table.must(mask, conditions, hex)?, table.must(suspicious, is_suspicious, "0 or 1")?))
}
