use domain::money::Price;
use domain::ticket::{BracketRefused, StopLimit};

fn plain_stop(stop: Price) -> Result<StopLimit, BracketRefused> {
    StopLimit::new(stop)
}

fn main() {}
