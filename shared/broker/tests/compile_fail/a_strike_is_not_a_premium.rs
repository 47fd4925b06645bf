use domain::money::Price;
use domain::symbol::Strike;
use domain::ticket::Net;

fn pay(strike: Strike) -> Net {
    let _: Price = strike;
    Net::debit(strike)
}

fn main() {}
