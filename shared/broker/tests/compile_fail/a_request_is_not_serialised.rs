use broker::transport::Request;

fn log(request: &Request) -> Option<String> {
    serde_json::to_string(request).ok()
}

fn main() {}
