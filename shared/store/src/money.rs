//! Ten-thousandths of a dollar to numeric and back, in SQL.

/// The column or expression `numeric`, as an integer in 1/10,000 dollar.
macro_rules! e4 {
    ($numeric:literal) => {
        concat!("(", $numeric, " * 10000)::bigint")
    };
}

/// An integer in 1/10,000 dollar, as numeric dollars.
macro_rules! dollars {
    ($e4:literal) => {
        concat!("(", $e4, "::numeric / 10000)::numeric(18, 4)")
    };
}

pub(crate) use {dollars, e4};
