//! The environment, read once at the start and handed on as a value.

use std::collections::BTreeMap;
use std::fmt;

use domain::account::{SwitchError, Switches};

/// A function's environment. Does not print: it may hold a token in local runs.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env({} variables)", self.0.len())
    }
}

/// A variable that is missing or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Not set, or empty.
    #[error("{0} is not set: see docs/operating.md for what it holds")]
    Missing(&'static str),
    /// Not a whole number.
    #[error("{name}={value:?} is not a whole number")]
    NotANumber {
        /// The variable.
        name: &'static str,
        /// What it held.
        value: String,
    },
    /// A switch.
    #[error(transparent)]
    Switch(#[from] SwitchError),
}

impl Env {
    /// The process's environment.
    #[expect(clippy::disallowed_methods, reason = "the one place where functions read their environment")]
    pub fn of_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// An environment made of pairs.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// A variable, absent when empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|it| !it.trim().is_empty())
    }

    /// A variable that must be there.
    ///
    /// # Errors
    /// [`EnvError::Missing`].
    pub fn required(&self, name: &'static str) -> Result<&str, EnvError> {
        self.get(name).ok_or(EnvError::Missing(name))
    }

    /// A whole number, `None` when absent.
    ///
    /// # Errors
    /// [`EnvError::NotANumber`].
    pub fn number(&self, name: &'static str) -> Result<Option<i64>, EnvError> {
        let parse = |value: &str| {
            value.trim().parse().map_err(|_| EnvError::NotANumber { name, value: value.to_owned() })
        };
        self.get(name).map(parse).transpose()
    }

    /// The deployment's switches.
    ///
    /// # Errors
    /// [`SwitchError`] for a `TRADIER_*` variable that does not exist: the function refuses to start.
    pub fn switches(&self) -> Result<Switches, EnvError> {
        Ok(Switches::from_vars(self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_nothing_prints() {
        let env = Env::of([("TRADIER_API_TOKEN".to_owned(), "very-secret".to_owned())]);
        assert_eq!(env.required("DATABASE_URL"), Err(EnvError::Missing("DATABASE_URL")));
        assert_eq!(format!("{env:?}"), "Env(1 variables)");
    }
}
