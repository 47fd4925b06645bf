use domain::order::Mark;
use domain::ticket::{ComboOpening, ComboTicket};

fn past_the_gates(opening: &ComboOpening, mark: &Mark) -> ComboTicket {
    ComboTicket::open(opening, mark, 1, opening.risk.worst())
}

fn main() {}
