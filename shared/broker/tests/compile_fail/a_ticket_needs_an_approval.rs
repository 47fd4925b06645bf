use domain::intent::OpeningIntent;
use domain::money::Price;
use domain::order::{Mark, Ticket};

fn unapproved(intent: &OpeningIntent, mark: &Mark) -> Ticket {
    Ticket::buy_to_open(intent, mark, 1, Price::from_cents(205))
}

fn main() {}
