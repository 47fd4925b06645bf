use domain::ports::BrokerPort;
use domain::ticket::MarketTicket;

async fn place(broker: &impl BrokerPort, ticket: &MarketTicket) {
    let _ = broker.place(ticket).await;
}

fn main() {}
