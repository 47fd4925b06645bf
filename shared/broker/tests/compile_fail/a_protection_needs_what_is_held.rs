use domain::intent::{Approved, OpeningIntent};
use domain::order::Mark;
use domain::symbol::OccSymbol;
use domain::ticket::{ProtectiveTicket, StopLimit};

fn short(approved: &Approved<OpeningIntent>, mark: &Mark, series: OccSymbol, terms: StopLimit) -> ProtectiveTicket {
    ProtectiveTicket::sell_to_close(approved, mark, series, terms)
}

fn main() {}
