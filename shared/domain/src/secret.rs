//! Secrets that do not print.

use std::fmt;

/// A token. It has no `Display`, no serde, no `PartialEq`, and its `Debug` says only that it is there.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// Takes the token in.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The token itself, for the one header that carries it and the one secret that keeps it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_print() {
        assert_eq!(format!("{:?}", Token::new("very-secret")), "Token(..)");
    }
}
