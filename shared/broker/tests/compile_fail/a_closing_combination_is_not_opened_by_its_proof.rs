use domain::intent::Approved;
use domain::order::Mark;
use domain::ticket::{ComboOpening, ComboTicket, Net};

fn close(approved: &Approved<ComboOpening>, mark: &Mark) -> ComboTicket {
    ComboTicket::close(approved, mark, Net::EVEN)
}

fn main() {}
