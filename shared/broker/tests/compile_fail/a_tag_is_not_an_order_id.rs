use domain::ids::OrderTag;
use domain::ports::BrokerPort;

async fn end(broker: &impl BrokerPort, tag: OrderTag) {
    let _ = broker.cancel(tag).await;
}

fn main() {}
