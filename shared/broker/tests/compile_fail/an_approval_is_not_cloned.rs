use domain::intent::{Approved, OpeningIntent};

fn twice(approved: &Approved<OpeningIntent>) -> Approved<OpeningIntent> {
    approved.clone()
}

fn main() {}
