use domain::order::Mark;
use domain::ticket::{ComboLeg, ComboTicket, Net};

fn naked(legs: &Vec<ComboLeg>, mark: &Mark) -> ComboTicket {
    ComboTicket::open(legs, mark, 1, Net::EVEN)
}

fn main() {}
