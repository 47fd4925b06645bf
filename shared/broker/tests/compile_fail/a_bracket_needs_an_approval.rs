use domain::intent::OpeningIntent;
use domain::money::Price;
use domain::order::Mark;
use domain::ticket::{BracketRefused, BracketTicket, Exits};

fn unapproved(intent: &OpeningIntent, mark: &Mark) -> Result<BracketTicket, BracketRefused> {
    BracketTicket::with_entry(intent, mark, 1, Price::from_cents(205), Exits::Target(Price::from_cents(400)))
}

fn main() {}
