use domain::ticket::{ComboLeg, ComboOpening};

fn unproven(legs: Vec<ComboLeg>) -> ComboOpening {
    ComboOpening { risk: legs, units: 1 }
}

fn main() {}
