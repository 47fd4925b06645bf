//! What the broker does where Tradier's documents leave it open, from a file.

use sim::broker::Practice;
use sim::broker::written::{self, Miswritten};

/// Reads a file of switches; what it leaves out is as usual.
///
/// # Errors
/// [`Miswritten`] names line and field.
pub fn parse(text: &str) -> Result<Practice, Miswritten> {
    let practice: Practice = written::read(text)?;
    let said: serde_json::Map<String, serde_json::Value> = written::read(text)?;
    let known = serde_json::to_value(Practice::USUAL).unwrap_or_default();
    let known: Vec<&str> = known.as_object().into_iter().flatten().map(|it| it.0.as_str()).collect();
    match said.keys().find(|it| !known.contains(&it.as_str())) {
        None => Ok(practice),
        Some(name) => {
            let at = text.find(&format!("\"{name}\"")).unwrap_or(0);
            let line = text.get(..at).map_or(1, |it| it.matches('\n').count().saturating_add(1));
            let problem = format!("is not known: expected one of {}", known.join(", "));
            Err(Miswritten { line, field: Some(name.clone()), problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual_and_what_is_not_known_is_refused() {
        assert_eq!(parse("{}").unwrap(), Practice::USUAL);
        let strict = parse("{\"strict_symbol\": true, \"page_rows\": 25}").unwrap();
        assert!(strict.strict_symbol && strict.page_rows == 25 && !strict.ticks_at_once);
        let wrong = parse("{\n\"strict_symbols\": true}").unwrap_err().to_string();
        assert!(wrong.starts_with("line 2, field strict_symbols: is not known: expected one of "), "{wrong}");
        assert!(wrong.contains("strict_symbol"), "{wrong}");
        let wrong = parse("{\"page_rows\": true}").unwrap_err().to_string();
        assert!(wrong.contains("field page_rows: invalid type"), "{wrong}");
    }
}
