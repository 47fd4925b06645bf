use broker::StreamSession;

fn log(session: &StreamSession) -> String {
    format!("connected with {session}")
}

fn main() {}
