use domain::intent::{Approved, OpeningIntent};

fn stored(text: &str) -> Option<Approved<OpeningIntent>> {
    serde_json::from_str(text).ok()
}

fn main() {}
