use domain::intent::{Approved, OpeningIntent};

fn forge(intent: OpeningIntent) -> Approved<OpeningIntent> {
    Approved(intent)
}

fn main() {}
