//! The rules of TRADIER.md sections 1 to 13, one table each: what the broker writes, what the client makes of it.

mod accounts;
mod general;

use domain::money::Usd;
use domain::symbol::OccSymbol;

const CALL: &str = "SPXW261120C05610000";

fn series() -> OccSymbol {
    CALL.parse().unwrap()
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

/// An order row of ours with these fields over a plain one.
fn order(fields: &str) -> String {
    format!(
        r#"{{"order":{{"id":7,"class":"option","side":"buy_to_open","option_symbol":"{CALL}","quantity":2.0,"exec_quantity":0.0{fields}}}}}"#
    )
}
