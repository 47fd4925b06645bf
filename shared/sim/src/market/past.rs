//! Days before a generated session: a random walk back from the close that the session starts at.

use domain::calendar::previous_session;
use domain::market::{Points, PriorDay};
use domain::symbol::Underlying;
use jiff::civil::Date;

use super::dice::Dice;
use crate::broker::DayBar;

/// Sessions made up: about a quarter of a year.
const SESSIONS: usize = 60;
/// Standard deviations of a day's return, of the gap at its open, and of how far it reaches beyond open and close.
const DAY: f64 = 0.008;
const GAP: f64 = 0.002;
const REACH: f64 = 0.003;
/// Shares of the ETF on an ordinary day.
const SHARES: f64 = 62_000_000.0;

/// The days before `date` of the index and of the ETF at a tenth of it, in order; the last has `prior`'s range and close.
pub fn past_days(seed: u64, date: Date, prior: &PriorDay) -> [(Underlying, Vec<DayBar>); 2] {
    let mut dice = Dice::new(seed, 9);
    let (mut index, mut etf) = (Vec::new(), Vec::new());
    let (mut day, mut close) = (date, prior.close.to_f64());
    for n in 0..SESSIONS {
        let Ok(session) = previous_session(day) else { break };
        day = session.date;
        let before = close / libm::exp(DAY * dice.normal());
        let open = before * libm::exp(GAP * dice.normal());
        let reach = |dice: &mut Dice| 1.0 + REACH * dice.normal().abs();
        let (mut high, mut low) = (open.max(close) * reach(&mut dice), open.min(close) / reach(&mut dice));
        let mut open = open;
        if n == 0 {
            (high, low) = (prior.high.to_f64(), prior.low.to_f64());
            open = open.clamp(low, high);
        }
        let bar = |scale: f64, volume| {
            let cents = |value: f64| Points((value * scale * 100.0).round() as i64 * 100);
            DayBar {
                date: day,
                open: cents(open),
                high: cents(high),
                low: cents(low),
                close: cents(close),
                volume,
            }
        };
        index.push(bar(1.0, 0));
        etf.push(bar(0.1, (SHARES * dice.between(0.7, 1.4)) as u64));
        close = before;
    }
    index.reverse();
    etf.reverse();
    [(Underlying::SPX, index), (Underlying::SPY, etf)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_sessions_in_order_and_end_with_the_day_before() {
        let points = Points::whole;
        let prior = PriorDay { high: points(5_630), low: points(5_590), close: points(5_607) };
        let date: Date = "2026-11-30".parse().unwrap();
        let [(_, index), (_, etf)] = past_days(7, date, &prior);
        assert_eq!((index.len(), etf.len()), (SESSIONS, SESSIONS));
        let last = index.last().unwrap();
        assert_eq!(
            (last.date.to_string().as_str(), last.high, last.close),
            ("2026-11-27", prior.high, prior.close)
        );
        assert!(index.windows(2).all(|it| it[0].date < it[1].date));
        assert!(
            index
                .iter()
                .chain(&etf)
                .all(|it| it.low <= it.open.min(it.close) && it.open.max(it.close) <= it.high)
        );
        assert_eq!(past_days(7, date, &prior)[0].1, index, "the same seed, the same days");
    }
}
