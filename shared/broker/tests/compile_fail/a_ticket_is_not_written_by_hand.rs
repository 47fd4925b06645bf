use domain::money::Price;
use domain::order::{Mark, Ticket, TicketPurpose};
use domain::symbol::OccSymbol;

fn forge(mark: &Mark, series: OccSymbol) -> Ticket {
    Ticket { tag: mark.tag, series, quantity: 1, price: Price::from_cents(205), purpose: TicketPurpose::SellToClose }
}

fn main() {}
