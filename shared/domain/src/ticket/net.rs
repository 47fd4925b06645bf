//! Net prices of combinations.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::{Price, TickGrid, Usd};

/// A net price per unit in cents: paid above zero, received below. Whether an order is a debit, a credit or even is the
/// sign's to say and nobody else's.
///
/// # Examples
/// ```
/// use domain::money::{Price, TickGrid};
/// use domain::ticket::{Net, NetKind};
/// let received = Net::credit(Price::from_cents(107));
/// assert_eq!((received.kind(), received.magnitude().cents()), (NetKind::Credit, 107));
/// // We ask for a little more and would take a little less.
/// assert_eq!(received.passive(TickGrid::NET_FIVE), Net::credit(Price::from_cents(110)));
/// assert_eq!(received.toward_fill(TickGrid::NET_FIVE), Net::credit(Price::from_cents(105)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Net(i64);

/// How the broker spells a net price's sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetKind {
    /// We pay.
    Debit,
    /// We receive.
    Credit,
    /// Neither.
    Even,
}

impl Net {
    /// Nothing either way.
    pub const EVEN: Self = Self(0);

    /// Paid.
    pub const fn debit(price: Price) -> Self {
        Self(price.cents() as i64)
    }

    /// Received.
    pub const fn credit(price: Price) -> Self {
        Self(-(price.cents() as i64))
    }

    /// From cents, paid above zero.
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    /// In cents, paid above zero.
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// The distance from zero, as an order carries it.
    pub fn magnitude(self) -> Price {
        Price::from_cents(u32::try_from(self.0.unsigned_abs()).unwrap_or(u32::MAX))
    }

    /// What the sign says.
    pub const fn kind(self) -> NetKind {
        match self.0 {
            1.. => NetKind::Debit,
            0 => NetKind::Even,
            _ => NetKind::Credit,
        }
    }

    /// Dollars for one share of one unit.
    pub const fn usd(self) -> Usd {
        Usd::from_cents(self.0)
    }

    /// The next price on `grid` that pays no more, or takes no less, than this one.
    pub fn passive(self, grid: TickGrid) -> Self {
        match self.kind() {
            NetKind::Debit => Self::debit(grid.floor(self.magnitude())),
            NetKind::Credit => Self::credit(grid.ceil(self.magnitude())),
            NetKind::Even => self,
        }
    }

    /// The next price on `grid` that fills no later than this one.
    pub fn toward_fill(self, grid: TickGrid) -> Self {
        match self.kind() {
            NetKind::Debit => Self::debit(grid.ceil(self.magnitude())),
            NetKind::Credit => Self::credit(grid.floor(self.magnitude())),
            NetKind::Even => self,
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            NetKind::Debit => write!(f, "debit {}", self.magnitude()),
            NetKind::Credit => write!(f, "credit {}", self.magnitude()),
            NetKind::Even => f.write_str("even"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prop_rounding_never_costs_us_unless_we_ask_for_the_fill(cents in -200_000i64..200_000) {
            let net = Net::from_cents(cents);
            for grid in [TickGrid::NET_FIVE, TickGrid::PENNY, TickGrid::FIVE_TEN] {
                let (calm, keen) = (net.passive(grid), net.toward_fill(grid));
                prop_assert!(calm <= net && net <= keen, "{calm} {net} {keen}");
                prop_assert!(grid.holds(calm.magnitude()) && grid.holds(keen.magnitude()));
                prop_assert!(keen.cents() - calm.cents() <= 10);
            }
        }

        #[test]
        fn prop_kind_and_magnitude_give_the_sign_back(cents in -1_000_000i64..1_000_000) {
            let net = Net::from_cents(cents);
            let again = match net.kind() {
                NetKind::Debit => Net::debit(net.magnitude()),
                NetKind::Credit => Net::credit(net.magnitude()),
                NetKind::Even => Net::EVEN,
            };
            prop_assert_eq!(again, net);
        }
    }
}
