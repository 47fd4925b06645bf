use domain::money::Usd;
use domain::ticket::{BoundedRisk, ComboLeg, Net};

fn forge(legs: Vec<ComboLeg>) -> BoundedRisk {
    BoundedRisk { legs, worst: Net::EVEN, max_loss: Usd::ZERO }
}

fn main() {}
