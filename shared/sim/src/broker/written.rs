//! JSON that people write by hand: an error names the line and the field, and says what was expected.

use serde::de::DeserializeOwned;

/// The largest text that is read.
pub const TEXT_MAX: usize = 1 << 20;

/// A text that is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {problem}", field.as_deref().map(|it| format!(", field {it}")).unwrap_or_default())]
pub struct Miswritten {
    /// The line, from 1.
    pub line: usize,
    /// The field, where there is one.
    pub field: Option<String>,
    /// What is wrong, and what was expected.
    pub problem: String,
}

/// Reads `text`.
///
/// A type's own check says what is wrong as `field <name>: <problem>`; where the field stands is found here.
///
/// # Errors
/// [`Miswritten`].
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Miswritten> {
    if text.len() > TEXT_MAX {
        let problem = format!("more than {TEXT_MAX} bytes: split it");
        return Err(Miswritten { line: 1, field: None, problem });
    }
    serde_json::from_str(text).map_err(|error| located(text, &error))
}

fn located(text: &str, error: &serde_json::Error) -> Miswritten {
    let said = error.to_string();
    // serde_json appends its own position, which this error shows in front.
    let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
    let upto = offset(text, error.line(), error.column());
    let before = text.get(..upto).unwrap_or(text);
    if let Some((field, problem)) = problem.strip_prefix("field ").and_then(|it| it.split_once(": ")) {
        let name = field.rsplit('.').next().unwrap_or(field);
        let key = format!("\"{name}\"");
        // What is wrong with the whole has no position of its own: an index in the field's name says which one it is.
        let at = if error.line() == 0 {
            let nth = field.split_once('[').and_then(|it| it.1.split_once(']')?.0.parse().ok()).unwrap_or(0);
            text.match_indices(&key).nth(nth).map_or(0, |it| it.0)
        } else {
            before.rfind(&key).unwrap_or(upto)
        };
        let line = line_of(text, at);
        return Miswritten { line, field: Some(field.to_owned()), problem: problem.to_owned() };
    }
    let field = if error.is_data() { last_key(before) } else { None };
    Miswritten { line: error.line().max(1), field, problem: problem.to_owned() }
}

/// Where a line and a column, both from 1, begin in `text`.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let starts = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let mut at = starts.saturating_add(column).min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |it| it.matches('\n').count().saturating_add(1))
}

/// The last string before the end of `text` that a colon follows.
fn last_key(text: &str) -> Option<String> {
    let (mut key, mut open): (Option<&str>, Option<usize>) = (None, None);
    let (mut last, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match (open, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(from), '"') => {
                last = text.get(from..at);
                open = None;
            }
            (Some(_), _) => {}
            (None, '"') => open = Some(at.saturating_add(1)),
            (None, ':') => key = last.take().or(key),
            (None, _) => {}
        }
    }
    // An unknown field is complained about as soon as its name is read.
    last.filter(|_| key.is_none()).or(key).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        #[expect(dead_code, reason = "read to be refused")]
        nth: u64,
        #[serde(default)]
        #[expect(dead_code, reason = "read to be refused")]
        when: Option<String>,
    }

    #[test]
    fn an_error_names_its_line_and_its_field() {
        let wrong =
            read::<Vec<Row>>("[\n {\"nth\": 1},\n {\"when\": \"a:b\",\n  \"nth\": \"two\"}]").unwrap_err();
        assert_eq!((wrong.line, wrong.field.as_deref()), (4, Some("nth")));
        assert!(wrong.problem.contains("expected u64"), "{wrong}");
        let unknown = read::<Row>("{\"nth\": 1,\n \"wen\": 3}").unwrap_err();
        assert_eq!(unknown.line, 2);
        assert!(unknown.problem.contains("unknown field `wen`, expected `nth` or `when`"), "{unknown}");
        assert_eq!(read::<Row>("{\"nth\": 1\n").unwrap_err().line, 2);
        assert_eq!(read::<Row>("").unwrap_err().line, 1);
    }
}
