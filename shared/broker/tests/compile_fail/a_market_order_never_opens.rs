use domain::intent::{Approved, OpeningIntent};
use domain::order::Mark;
use domain::symbol::OccSymbol;
use domain::ticket::{EmergencyToken, MarketTicket};

fn short(approved: &Approved<OpeningIntent>, mark: &Mark, series: OccSymbol, token: EmergencyToken) -> MarketTicket {
    MarketTicket::sell_to_close(approved, mark, series, token)
}

fn main() {}
