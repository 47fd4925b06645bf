//! The ways to the broker that a deployment's switches open.

use domain::account::Switches;
use domain::ports::{Clock, Secrets};

use crate::connector::{Budgets, Connector};
use crate::https::{Https, HttpsError, LIVE_BASE, Patience, SANDBOX_BASE};

/// The way to the sandbox, and the one to the live host where both keys are turned. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct Ways {
    /// The broker's sandbox, or the local one.
    pub sandbox: Https,
    /// The live host.
    pub live: Option<Https>,
    /// What is left of each token's rate, for all connectors over these ways.
    budgets: Budgets,
}

impl Ways {
    /// What `switches` open. `base` (`TRADIER_BASE_URL`) names the sandbox of a local run, which has no live host.
    ///
    /// # Errors
    /// [`HttpsError`] for a base that is no address, and when TLS cannot be set up.
    pub fn open(switches: &Switches, base: Option<&str>) -> Result<Self, HttpsError> {
        let sandbox = Https::new(base.unwrap_or(SANDBOX_BASE), Patience::default())?;
        let is_live = !switches.sandbox && switches.production_enabled && base.is_none();
        let live = if is_live { Some(Https::new(LIVE_BASE, Patience::default())?) } else { None };
        Ok(Self { sandbox, live, budgets: Budgets::default() })
    }

    /// A connector over these ways.
    pub fn connector<S: Secrets, C: Clock + Clone>(&self, secrets: S, clock: C) -> Connector<S, Https, C> {
        Connector::new(secrets, clock, self.sandbox.clone(), self.live.clone()).counting_in(&self.budgets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_host_needs_both_keys_and_no_other_base() {
        let is_live = |sandbox, production_enabled, base| {
            let switches = Switches { sandbox, production_enabled, ..Switches::default() };
            Ways::open(&switches, base).unwrap().live.is_some()
        };
        assert!(is_live(false, true, None));
        assert!(!is_live(true, true, None));
        assert!(!is_live(false, false, None));
        assert!(!is_live(false, true, Some("http://127.0.0.1:8080")));
    }

    #[test]
    fn a_base_elsewhere_in_the_clear_is_refused() {
        assert!(Ways::open(&Switches::default(), Some("http://example.com")).is_err());
    }
}
