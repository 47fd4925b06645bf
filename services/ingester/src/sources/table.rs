//! Reads one table of a recorded session; every trouble names file, line, column and what was expected.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use domain::market::{Points, SourceError};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use flate2::read::MultiGzDecoder;

/// A CSV table, compressed with gzip or not, read row by row.
pub(super) struct Table {
    file: String,
    reader: Reader<Box<dyn Read>>,
    record: ByteRecord,
    names: Vec<&'static str>,
    /// Where each name stands in the file; `None` for a column that may be missing and is.
    places: Vec<Option<usize>>,
    last: Option<UtcNanos>,
}

/// How a file starts that gzip compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Table {
    /// Opens `file` in `dir`, which must have these columns, in any order, the first of them the row's time.
    pub(super) fn open(
        dir: &Path,
        file: &'static str,
        names: &'static [&'static str],
    ) -> Result<Self, SourceError> {
        Self::open_with(&dir.join(file), file, names, &[])
    }

    /// Opens the table at `path`, called `file` in errors. It must have the `required` columns and may have the `optional`
    /// ones, which are counted on from them.
    pub(super) fn open_with(
        path: &Path,
        file: &str,
        required: &[&'static str],
        optional: &[&'static str],
    ) -> Result<Self, SourceError> {
        let unread = |error: std::io::Error| {
            broken(file, 0, 0, format!("a table of comma-separated values at {} ({error})", path.display()))
        };
        let mut source = BufReader::with_capacity(1 << 16, File::open(path).map_err(unread)?);
        let is_compressed = source.fill_buf().map_err(unread)?.starts_with(&GZIP);
        let source: Box<dyn Read> =
            if is_compressed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        let mut reader = ReaderBuilder::new().buffer_capacity(1 << 16).from_reader(source);
        let header = reader.byte_headers().map_err(|error| csv_error(file, &error))?.clone();
        let place = |name: &&str| header.iter().position(|it| it == name.as_bytes());
        if let Some(missing) = required.iter().find(|name| place(name).is_none()) {
            return Err(broken(file, 1, 0, format!("a column {missing} in the header")));
        }
        let names: Vec<&'static str> = required.iter().chain(optional).copied().collect();
        let places = names.iter().map(place).collect();
        Ok(Self { file: file.to_owned(), reader, record: ByteRecord::new(), names, places, last: None })
    }

    /// Whether the table has the `i`th named column.
    pub(super) fn has(&self, i: usize) -> bool {
        self.places.get(i).is_some_and(Option::is_some)
    }

    /// Moves to the next row and gives its time, which may not be before the last; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<UtcNanos>, SourceError> {
        if !self.next_unordered()? {
            return Ok(None);
        }
        let ts = self.time()?;
        if let Some(last) = self.last.filter(|last| ts < *last) {
            return Err(self.broken(0, &format!("a time at or after {last}, the row before")));
        }
        self.last = Some(ts);
        Ok(Some(ts))
    }

    /// The row's time.
    pub(super) fn time(&self) -> Result<UtcNanos, SourceError> {
        parse_utc(self.cell(0)?)
            .ok_or_else(|| self.broken(0, "a UTC time such as 2013-10-07T13:30:00.000000000Z"))
    }

    /// Moves to the next row of a table that is not in order of time; false at the end.
    pub(super) fn next_unordered(&mut self) -> Result<bool, SourceError> {
        self.reader.read_byte_record(&mut self.record).map_err(|error| csv_error(&self.file, &error))
    }

    /// The text of the `i`th named column.
    pub(super) fn cell(&self, i: usize) -> Result<&str, SourceError> {
        let place = self.places.get(i).copied().flatten().unwrap_or(usize::MAX);
        let bytes = self.record.get(place).ok_or_else(|| self.broken(i, "a cell"))?;
        std::str::from_utf8(bytes).map_err(|_| self.broken(i, "UTF-8 text"))
    }

    /// What `read` makes of the cell; an empty cell is `None`.
    pub(super) fn read<T>(
        &self,
        i: usize,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SourceError> {
        let text = self.cell(i)?;
        if text.is_empty() {
            return Ok(None);
        }
        read(text).map(Some).ok_or_else(|| self.broken(i, expected))
    }

    /// A price; an empty cell is `None`.
    pub(super) fn points(&self, i: usize) -> Result<Option<Points>, SourceError> {
        self.read(i, "a decimal price", Points::parse)
    }

    /// A count of shares or contracts; an empty cell is `None`.
    pub(super) fn count(&self, i: usize) -> Result<Option<u32>, SourceError> {
        self.read(i, "a whole number", |it| it.parse().ok())
    }

    /// What a cell may not lack.
    pub(super) fn must<T>(&self, i: usize, it: Option<T>, expected: &str) -> Result<T, SourceError> {
        it.ok_or_else(|| self.broken(i, expected))
    }

    /// The error for this row's `i`th named column.
    pub(super) fn broken(&self, i: usize, expected: &str) -> SourceError {
        let line = self.record.position().map_or(0, csv::Position::line);
        let place = self.places.get(i).copied().flatten().unwrap_or_default();
        let name = self.names.get(i).copied().unwrap_or_default();
        let found = self.record.get(place).map(String::from_utf8_lossy).unwrap_or_default();
        let found: String = found.chars().take(40).collect();
        broken(&self.file, line, place as u64 + 1, format!("{name}: {expected}, found {found:?}"))
    }
}

/// The one way an error of a recorded file is made.
pub(super) fn broken(file: &str, line: u64, column: u64, expected: String) -> SourceError {
    SourceError { file: file.to_owned(), line, column, expected }
}

fn csv_error(file: &str, error: &csv::Error) -> SourceError {
    let line = error.position().map_or(0, csv::Position::line);
    let expected = if let ErrorKind::Io(error) = error.kind() {
        format!("an intact gzip file ({error})")
    } else if let ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        format!("{expected_len} cells as in the header, found {len}")
    } else {
        format!("a CSV row ({error})")
    };
    broken(file, line, 0, expected)
}

/// Reads `2013-10-07T13:30:00.000000000Z` by its fixed places; any other RFC 3339 spelling by the slow way.
pub(super) fn parse_utc(text: &str) -> Option<UtcNanos> {
    by_places(text.as_bytes()).or_else(|| UtcNanos::parse(text))
}

fn by_places(bytes: &[u8]) -> Option<UtcNanos> {
    let bytes: &[u8; 30] = bytes.try_into().ok()?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', rest @ ..] = bytes else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2, b'.', fraction @ .., b'Z'] = rest else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    let possible = (1970..2200).contains(&year) && hour < 24 && minute < 60 && second < 60;
    if !possible || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let secs = days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UtcNanos(secs * NANOS_PER_SEC + number(&fraction)?))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted from March so that the leap day comes last.
const fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_reading_of_times_agrees_with_the_slow_one() {
        for text in [
            "2013-10-07T08:00:00.464000001Z",
            "2020-02-29T23:59:59.999999999Z",
            "2000-03-01T00:00:00.000000000Z",
            "1970-01-01T00:00:00.000000000Z",
            "2021-12-31T12:34:56.000000007Z",
        ] {
            assert!(by_places(text.as_bytes()).is_some(), "{text}");
            assert_eq!(by_places(text.as_bytes()), UtcNanos::parse(text), "{text}");
        }
        assert_eq!(parse_utc("2013-10-07T04:00:00-04:00"), UtcNanos::parse("2013-10-07T08:00:00Z"));
        for text in ["2013-02-29T08:00:00.000000000Z", "2013-10-07T08:00:00.00000000xZ", "", "now"] {
            assert_eq!(parse_utc(text), None, "{text}");
        }
    }
}
