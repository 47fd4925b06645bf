use domain::account::BrokerCredential;

fn leak(credential: &BrokerCredential) -> Option<String> {
    serde_json::to_string(credential).ok()
}

fn main() {}
