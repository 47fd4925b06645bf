use domain::intent::{Approved, OpeningIntent};
use domain::money::Price;
use domain::order::{Mark, Ticket};

fn swapped(approved: &Approved<OpeningIntent>, mark: &Mark) -> Ticket {
    Ticket::buy_to_open(approved, mark, Price::from_cents(205), 2)
}

fn main() {}
