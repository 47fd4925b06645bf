use domain::intent::{Approved, OpeningIntent};
use domain::money::Price;
use domain::order::{Mark, Ticket, TicketPurpose};

fn short(approved: &Approved<OpeningIntent>, mark: &Mark) -> Ticket {
    let _ = TicketPurpose::SellToOpen;
    Ticket::sell_to_open(approved, mark, 1, Price::from_cents(205))
}

fn main() {}
