use domain::ticket::{ComboLeg, CoveredClose};

fn forge(legs: Vec<ComboLeg>) -> CoveredClose {
    CoveredClose { legs, units: 1 }
}

fn main() {}
