use domain::intent::{Approved, CloseBound};
use domain::order::Mark;
use domain::symbol::OccSymbol;
use domain::ticket::MarketTicket;

fn at_any_price(approved: &Approved<CloseBound>, mark: &Mark, series: OccSymbol) -> MarketTicket {
    MarketTicket::sell_to_close(approved, mark, series)
}

fn main() {}
