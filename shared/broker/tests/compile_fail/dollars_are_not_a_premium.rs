use domain::ids::BrokerOrderId;
use domain::money::Usd;
use domain::ports::BrokerPort;

async fn reprice(broker: &impl BrokerPort, id: BrokerOrderId) {
    let _ = broker.modify(id, Usd::from_dollars(2), true).await;
}

fn main() {}
