//! Measurements in saved state, written as their bits: a decimal text that is read back one unit in the last place off
//! would make the rest of the day another one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float that reads back as what was written, in any format.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Exact(pub(crate) f64);

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.to_bits().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(|it| Self(f64::from_bits(it)))
    }
}

/// Six decimals: what is shown and kept with decisions prints short and reads back equal.
pub(crate) fn six_decimals(it: f64) -> f64 {
    let rounded = (it * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { 0.0 }
}

/// `#[serde(with = "exact::bits")]` for measurements that stand open in a value.
pub(crate) mod bits {
    use super::Exact;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(it: &f64, to: S) -> Result<S::Ok, S::Error> {
        Exact(*it).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Exact::deserialize(from).map(|it| it.0)
    }
}

/// The same for those that may be missing.
pub(crate) mod bits_or_none {
    use super::Exact;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(it: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        it.map(Exact).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Option::<Exact>::deserialize(from).map(|it| it.map(|it| it.0))
    }
}
