use domain::intent::{Approved, OpeningIntent};
use domain::ports::BrokerPort;

async fn past_the_desk(broker: &impl BrokerPort, approved: &Approved<OpeningIntent>) {
    let _ = broker.place(approved).await;
}

fn main() {}
