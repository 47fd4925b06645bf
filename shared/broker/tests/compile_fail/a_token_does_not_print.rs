use domain::secret::Token;

fn leak(token: &Token) -> String {
    format!("the token is {token}")
}

fn main() {}
