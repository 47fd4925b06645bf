use domain::intent::{Approved, OpeningIntent};
use domain::money::Price;
use domain::order::{Mark, Ticket};
use domain::symbol::OccSymbol;

fn short(approved: &Approved<OpeningIntent>, mark: &Mark, series: OccSymbol) -> Ticket {
    Ticket::sell_to_close(approved, mark, series, Price::from_cents(205))
}

fn main() {}
