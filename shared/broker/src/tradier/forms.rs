//! Orders as the broker's form parameters (TRADIER.md section 9.1). Prices have two decimals, always.

use domain::money::Price;
use domain::order::{Ticket, TicketPurpose};
use domain::symbol::OccSymbol;
use domain::ticket::{BracketTicket, ComboTicket, Exits, MarketTicket, NetKind, ProtectiveTicket};

/// Form parameters, in order.
pub(super) type Form = Vec<(String, String)>;

fn form<const N: usize>(fields: [(&str, String); N]) -> Form {
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

/// A single-leg limit order for the day.
pub(super) fn single(ticket: &Ticket) -> Form {
    let side = match ticket.purpose() {
        TicketPurpose::BuyToOpen { .. } => "buy_to_open",
        TicketPurpose::SellToClose => "sell_to_close",
        TicketPurpose::BuyToClose => "buy_to_close",
    };
    let series = ticket.series();
    form([
        ("class", "option".to_owned()),
        // The underlying, not the root: SPXW contracts are ordered under SPX.
        ("symbol", series.underlying().to_string()),
        ("option_symbol", series.to_string()),
        ("side", side.to_owned()),
        ("quantity", ticket.quantity().to_string()),
        ("type", "limit".to_owned()),
        ("duration", "day".to_owned()),
        ("price", ticket.price().to_string()),
        ("tag", ticket.tag().to_string()),
    ])
}

/// Sells what is held, with `terms` between the quantity and the tag.
fn sell_to_close<const N: usize>(
    series: OccSymbol,
    quantity: u32,
    terms: [(&str, String); N],
    tag: String,
) -> Form {
    let mut all = form([
        ("class", "option".to_owned()),
        ("symbol", series.underlying().to_string()),
        ("option_symbol", series.to_string()),
        ("side", "sell_to_close".to_owned()),
        ("quantity", quantity.to_string()),
    ]);
    all.extend(form(terms));
    all.extend(form([("duration", "day".to_owned()), ("tag", tag)]));
    all
}

/// A stop with a limit under it.
pub(super) fn protection(ticket: &ProtectiveTicket) -> Form {
    let terms = [
        ("type", "stop_limit".to_owned()),
        ("stop", ticket.terms().stop().to_string()),
        ("price", ticket.terms().limit().to_string()),
    ];
    sell_to_close(ticket.series(), ticket.quantity(), terms, ticket.tag().to_string())
}

/// A market order.
pub(super) fn market(ticket: &MarketTicket) -> Form {
    sell_to_close(
        ticket.series(),
        ticket.quantity(),
        [("type", "market".to_owned())],
        ticket.tag().to_string(),
    )
}

/// A combination at its net price, whose sign is the order's type and whose magnitude is its price.
pub(super) fn combo(ticket: &ComboTicket) -> Form {
    let underlying = ticket.legs().first().map(|it| it.series.underlying().to_string());
    let (kind, price) = match ticket.net().kind() {
        NetKind::Debit => ("debit", Some(ticket.net().magnitude())),
        NetKind::Credit => ("credit", Some(ticket.net().magnitude())),
        NetKind::Even => ("even", None),
    };
    let mut all = form([
        ("class", "multileg".to_owned()),
        ("symbol", underlying.unwrap_or_default()),
        ("type", kind.to_owned()),
        ("duration", "day".to_owned()),
    ]);
    all.extend(price.map(|it| ("price".to_owned(), it.to_string())));
    for (i, leg) in ticket.legs().iter().enumerate() {
        let quantity = u64::from(leg.ratio).saturating_mul(u64::from(ticket.units()));
        all.push((format!("option_symbol[{i}]"), leg.series.to_string()));
        all.push((format!("side[{i}]"), leg.side.as_str().to_owned()));
        all.push((format!("quantity[{i}]"), quantity.to_string()));
    }
    all.push(("tag".to_owned(), ticket.tag().to_string()));
    all
}

/// One order of a bracket.
struct Part {
    side: &'static str,
    price: Price,
    stop: Option<Price>,
}

/// Orders that hang together: the entry first, then the target, then the protection.
pub(super) fn bracket(ticket: &BracketTicket) -> Form {
    const SELL: &str = "sell_to_close";
    let entry = ticket.entry().map(|it| Part { side: "buy_to_open", price: it.price(), stop: None });
    let (target, protection) = match ticket.exits() {
        Exits::Target(price) => (Some(price), None),
        Exits::Protection(it) => (None, Some(it)),
        Exits::Both(price, it) => (Some(price), Some(it)),
    };
    let class = match (&entry, &target, &protection) {
        (None, _, _) => "oco",
        (Some(_), Some(_), Some(_)) => "otoco",
        (Some(_), _, _) => "oto",
    };
    let target = target.map(|price| Part { side: SELL, price, stop: None });
    let protection = protection.map(|it| Part { side: SELL, price: it.limit(), stop: Some(it.stop()) });
    let mut all = form([("class", class.to_owned()), ("duration", "day".to_owned())]);
    for (i, part) in [entry, target, protection].into_iter().flatten().enumerate() {
        let kind = if part.stop.is_some() { "stop_limit" } else { "limit" };
        all.push((format!("option_symbol[{i}]"), ticket.series().to_string()));
        all.push((format!("side[{i}]"), part.side.to_owned()));
        all.push((format!("quantity[{i}]"), ticket.quantity().to_string()));
        all.push((format!("type[{i}]"), kind.to_owned()));
        all.push((format!("price[{i}]"), part.price.to_string()));
        all.extend(part.stop.map(|it| (format!("stop[{i}]"), it.to_string())));
    }
    all.push(("tag".to_owned(), ticket.tag().to_string()));
    all
}
