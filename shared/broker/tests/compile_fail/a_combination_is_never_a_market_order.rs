use domain::intent::Approved;
use domain::order::Mark;
use domain::ticket::{ComboOpening, ComboTicket, EmergencyToken};

fn at_any_price(approved: &Approved<ComboOpening>, mark: &Mark, token: EmergencyToken) -> ComboTicket {
    ComboTicket::market(approved, mark, 1, token)
}

fn main() {}
