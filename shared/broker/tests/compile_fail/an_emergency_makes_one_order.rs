use domain::intent::{Approved, CloseBound};
use domain::order::Mark;
use domain::symbol::OccSymbol;
use domain::ticket::{EmergencyToken, MarketTicket};

fn twice(approved: &Approved<CloseBound>, mark: &Mark, series: OccSymbol, token: EmergencyToken) -> [MarketTicket; 2] {
    [
        MarketTicket::sell_to_close(approved, mark, series, token),
        MarketTicket::sell_to_close(approved, mark, series, token),
    ]
}

fn main() {}
