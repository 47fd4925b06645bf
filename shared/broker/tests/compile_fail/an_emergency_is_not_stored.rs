use domain::ticket::EmergencyToken;

fn keep(token: &EmergencyToken) -> Option<String> {
    serde_json::to_string(token).ok()
}

fn main() {}
