//! CSV in, the same rows with more columns out: what `claxton price`, `iv` and `indicators` have in common.

use std::io::{Read, Write};

use anyhow::{Context as _, bail};
use csv::{ByteRecord, Reader, ReaderBuilder, Trim, Writer};

/// A table that is read, and the one that is written from it.
pub(super) struct Table<'a, R, W: Write> {
    reader: Reader<R>,
    writer: Writer<&'a mut W>,
    /// Where in a row each wanted column stands.
    places: Vec<usize>,
    /// Which columns of a row are written again.
    kept: Vec<usize>,
    width: usize,
}

/// One row, with the line that it stands on.
pub(super) struct Row {
    /// Its line, from 1 on.
    pub(super) line: u64,
    cells: ByteRecord,
}

impl<'a, R: Read, W: Write> Table<'a, R, W> {
    /// Reads the header of `from`, which names `wanted` in any order among other columns, and writes it to `to` with
    /// `added`. A column that is added replaces one of the same name; of the columns read those in `keep` are written
    /// again, or all.
    ///
    /// # Errors
    /// A header that lacks a column or has it twice.
    pub(super) fn open(
        from: R,
        to: &'a mut W,
        wanted: &[&str],
        keep: Option<&[&str]>,
        added: &[&str],
    ) -> anyhow::Result<Self> {
        let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(from);
        let header = reader.byte_headers().context("the input is not CSV")?.clone();
        let names: Vec<String> = header.iter().map(name).collect();
        let places = wanted.iter().map(|it| place(&names, it, wanted)).collect::<Result<_, _>>()?;
        let is_kept = |it: &str| !added.contains(&it) && keep.is_none_or(|keep| keep.contains(&it));
        let kept: Vec<usize> =
            names.iter().enumerate().filter(|it| is_kept(it.1)).map(|(place, _)| place).collect();
        let mut writer = Writer::from_writer(to);
        let titles = kept.iter().filter_map(|it| names.get(*it)).map(String::as_str);
        writer.write_record(titles.chain(added.iter().copied())).map_err(unwritten)?;
        Ok(Self { reader, writer, places, kept, width: names.len() })
    }

    /// The next row, `None` after the last.
    ///
    /// # Errors
    /// Input that cannot be read.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        let mut cells = ByteRecord::new();
        if !self.reader.read_byte_record(&mut cells).context("the input cannot be read")? {
            return Ok(None);
        }
        let line = cells.position().map_or(0, csv::Position::line);
        Ok(Some(Row { line, cells }))
    }

    /// The text of a wanted column, by its number in the list of [`Table::open`].
    ///
    /// # Errors
    /// A row of the wrong length, or text that is none.
    pub(super) fn text<'r>(&self, row: &'r Row, wanted: usize) -> anyhow::Result<&'r str> {
        if row.cells.len() != self.width {
            bail!("{} columns: expected {}, as the header has", row.cells.len(), self.width);
        }
        let cell = self.places.get(wanted).and_then(|it| row.cells.get(*it)).unwrap_or_default();
        std::str::from_utf8(cell).context("a cell is not UTF-8 text")
    }

    /// The number in a wanted column, which is called `name`.
    ///
    /// # Errors
    /// A cell that holds no number.
    pub(super) fn number(&self, row: &Row, wanted: usize, name: &str) -> anyhow::Result<f64> {
        let text = self.text(row, wanted)?;
        text.parse().with_context(|| format!("{name} is {text:?}: expected a number such as 0.25"))
    }

    /// Writes a row again with the values of the added columns. Numbers have as many digits as it takes to read the same
    /// number back.
    ///
    /// # Errors
    /// Whoever reads us has gone.
    pub(super) fn write(&mut self, row: &Row, values: &[Option<f64>]) -> anyhow::Result<()> {
        for cell in self.kept.iter().filter_map(|it| row.cells.get(*it)) {
            self.writer.write_field(cell).map_err(unwritten)?;
        }
        for value in values {
            let cell = value.map_or_else(String::new, |it| format!("{it:?}"));
            self.writer.write_field(cell).map_err(unwritten)?;
        }
        // An empty record ends the row.
        self.writer.write_record(None::<&[u8]>).map_err(unwritten)
    }

    /// Writes out what is still held back.
    ///
    /// # Errors
    /// Whoever reads us has gone.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }
}

/// The error of the output itself, by which a reader that has seen enough is known.
fn unwritten(error: csv::Error) -> anyhow::Error {
    let kind = error.into_kind();
    if let csv::ErrorKind::Io(error) = kind {
        return error.into();
    }
    anyhow::anyhow!("the output cannot be written: {kind:?}")
}

/// A column's name, without the mark that some programs put before the first.
fn name(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).trim_start_matches('\u{feff}').trim().to_owned()
}

fn place(names: &[String], wanted: &str, all: &[&str]) -> anyhow::Result<usize> {
    let mut found = names.iter().enumerate().filter(|it| it.1 == wanted).map(|it| it.0);
    match (found.next(), found.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => bail!("line 1: column {wanted} stands there twice: leave one of them out"),
        (None, _) => {
            bail!("line 1: column {wanted} is missing: expected the header {} in any order", all.join(","))
        }
    }
}
