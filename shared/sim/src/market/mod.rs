//! A session's market from a seed: SPX, SPY and the SPXW chain that expires that day.
//!
//! The same [`SessionSpec`] gives the same events on every machine: draws are ChaCha8, transcendental functions
//! are `libm`'s. Nothing is fitted to a particular day; figures are of the order of 2020s sessions.
//!
//! # The model
//! - **Fair value** of the index, second by second: a pull towards a target plus a normal shock whose standard
//!   deviation is U-shaped over the session (2.1 at the open, 0.6 at noon, 1.05 at the close, in units that make
//!   the day 0.55 to 0.80 %), one shock in a hundred 2.5 times as large, and about one jump a day of a fifth of
//!   the day's standard deviation. A short day has 0.8 of the day's variation.
//! - **Shape**: after the 15-minute opening range, which starts at 09:31, the target follows legs given in widths
//!   of that range ([`DayShape`], two tales each): a straight run or one after a pullback, a range left late
//!   in vain or with success, a gap that goes on or is faded half way, two failed breaks or one failure and a half-way return. Times
//!   shrink on a short day.
//! - **SPY** trades around a tenth of it with a basis of a few hundredths of a point; about 14 quotes and 8 prints
//!   a second, more where volatility is. Spreads are one cent, two when it moves; sizes lean to the side the
//!   price goes to. A print takes the ask with probability 0.5 + 0.45 x pressure, pressure in [-0.9, 0.9] growing
//!   with the move of the second and of the last half minute; 7.6 % print at mid, 0.4 % are average-price prints.
//! - **SPX** prints once a second with size 0: the fair value smoothed over two seconds plus noise of 0.04 points;
//!   at the open it still holds the close before, which wears off with a time constant of nine seconds.
//! - **Options** ([`ChainModel`]): Black-Scholes-Merton without carry on the fair value. The volatility at the
//!   money is what the day's remaining variance costs, times a level that rises as the index falls; a smile in
//!   standard deviations of moneyness (skew -5 % and curvature 1.2 %). Half the spread is 0.02 + 0.6 % of the
//!   value, double at the open, rounded outwards to the tick; under a tick nobody bids. Call and put of a strike
//!   are priced together, when the index moved their value by more than a tick or 0.7 of the spread, and after
//!   15 to 30 s anyway.

mod chain;
mod dice;
mod past;
mod path;
mod shape;
mod tape;
#[cfg(test)]
mod tests;
mod wider;

use domain::calendar::{NoCalendar, Session};
use domain::market::{MarketEvent, MarketSource, Points, PriorDay, SourceError, SourceProfile};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::{Date, date};

pub use self::chain::ChainModel;
use self::chain::session_seconds;
use self::dice::Dice;
pub use self::past::past_days;
use self::path::{DayVol, PathSpec};
pub use self::shape::DayShape;
use self::shape::Story;
use self::tape::{Second, Tape};
pub use self::wider::WiderMarket;

/// Sessions that seeds rotate over; two are short.
const DATES: [Date; 11] = [
    date(2026, 12, 2),
    date(2026, 11, 20),
    date(2026, 11, 23),
    date(2026, 11, 24),
    date(2026, 11, 25),
    date(2026, 11, 27),
    date(2026, 11, 30),
    date(2026, 12, 1),
    date(2026, 12, 24),
    date(2026, 12, 23),
    date(2026, 12, 3),
];

/// The session a seed plays on unless told otherwise.
pub fn default_date(seed: u64) -> Date {
    let n = DATES.len() as u64;
    usize::try_from(seed % n).ok().and_then(|it| DATES.get(it)).copied().unwrap_or(date(2026, 11, 20))
}

/// Which session to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSpec {
    /// Everything random comes from it.
    pub seed: u64,
    /// The New York date.
    pub date: Date,
    /// The day's character; the seed's own where absent.
    pub shape: Option<DayShape>,
}

impl SessionSpec {
    /// The seed's own date and shape.
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, date: default_date(seed), shape: None }
    }
}

/// Why no session can be generated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The calendar does not reach that far.
    #[error(transparent)]
    NoCalendar(#[from] NoCalendar),
    /// A weekend or a holiday.
    #[error("the exchange is closed on {0}: choose a trading day, for example 2026-11-20")]
    Closed(Date),
}

/// One generated session. Events are made second by second as they are asked for.
#[derive(Debug, Clone)]
pub struct GeneratedSession {
    profile: SourceProfile,
    shape: DayShape,
    vol: DayVol,
    /// Standard deviation of the day in points.
    day_points: f64,
    path: Vec<f64>,
    tape: Tape,
    chain: ChainModel,
    next_second: usize,
    /// Events of the second at hand and how many of them are delivered.
    ready: Vec<MarketEvent>,
    delivered: usize,
}

impl GeneratedSession {
    /// Draws the day's plan and path; ticks and quotes follow as they are asked for.
    ///
    /// # Errors
    /// [`SpecError`] where the exchange has no session on that date.
    pub fn new(spec: &SessionSpec) -> Result<Self, SpecError> {
        let session = Session::of(spec.date)?.ok_or(SpecError::Closed(spec.date))?;
        let shape = spec.shape.unwrap_or(DayShape::of_seed(spec.seed));
        let mut dice = Dice::new(spec.seed, 0);
        let prior_close = (5_600.0 * libm::exp(0.012 * dice.normal()) * 100.0).round() / 100.0;
        let day_move = dice.between(0.0055, 0.0080) * if session.short { 0.8 } else { 1.0 };
        let story = Story::draw(shape, spec.seed, &mut dice);
        let open = prior_close * libm::exp(story.gap);
        let day_points = open * day_move;
        let seconds = session_seconds(&session);
        let vol = DayVol::new(seconds);
        // The story's legs add to the day's variation, so the shocks carry part of it.
        let shocks = PathSpec { open, day_points: 0.8 * day_points, seconds };
        let path = path::draw(shocks, &vol, &story, &mut Dice::new(spec.seed, 1));
        let chain = ChainModel::new(spec.seed, session, open, day_move);
        let named = spec.shape.map(|it| format!(",shape={}", it.as_str())).unwrap_or_default();
        let profile = SourceProfile {
            name: format!("generated:seed={}{named}", spec.seed),
            index: Underlying::SPX,
            index_note: None,
            proxy: Some(Underlying::SPY),
            resolution_ns: 1,
            contiguous_sequence: false,
            session,
            prior_day: Some(prior_day(prior_close, day_points, &mut dice)),
            series: chain.series(),
        };
        let tape = Tape::new(Dice::new(spec.seed, 2), prior_close, open);
        Ok(Self {
            profile,
            shape,
            vol,
            day_points: 0.8 * day_points,
            path,
            tape,
            chain,
            next_second: 0,
            ready: Vec::with_capacity(512),
            delivered: 0,
        })
    }

    /// The day's character.
    pub const fn shape(&self) -> DayShape {
        self.shape
    }

    /// Makes the next second's events; `None` at the close.
    fn fill(&mut self) -> Option<()> {
        let i = self.next_second;
        let (from, to) = (*self.path.get(i)?, *self.path.get(i.checked_add(1)?)?);
        let sd = self.day_points * self.vol.of_second(i);
        // The half minute's move ends a little ahead: orders lead prices.
        let before = self.path.get(i.saturating_sub(27)).copied().unwrap_or(from);
        let ahead = self.path.get(i.saturating_add(3)).copied().unwrap_or(to);
        let now = Second {
            start: UtcNanos(self.profile.session.open.0 + i as i64 * NANOS_PER_SEC),
            index: i,
            from,
            to,
            sd,
            drift: (ahead - before) / (sd * libm::sqrt(30.0)),
            activity: self.vol.activity(i),
        };
        self.ready.clear();
        self.delivered = 0;
        self.tape.second(&now, &mut self.ready);
        self.chain.second(now.start, from, to, &mut self.ready);
        // Both parts are in order; the stable sort merges them in one pass.
        self.ready.sort_by_key(MarketEvent::ts);
        self.next_second = i.saturating_add(1);
        Some(())
    }
}

/// A plausible day before: its range about its close.
fn prior_day(close: f64, day_points: f64, dice: &mut Dice) -> PriorDay {
    let reach = dice.between(0.9, 1.7) * day_points;
    let above = dice.between(0.1, 0.9) * reach;
    let on_cent = |value: f64| Points((value * 100.0).round() as i64 * 100);
    PriorDay { high: on_cent(close + above), low: on_cent(close + above - reach), close: on_cent(close) }
}

impl MarketSource for GeneratedSession {
    fn profile(&self) -> &SourceProfile {
        &self.profile
    }

    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        loop {
            if let Some(event) = self.ready.get(self.delivered) {
                self.delivered = self.delivered.saturating_add(1);
                return Ok(Some(*event));
            }
            if self.fill().is_none() {
                return Ok(None);
            }
        }
    }
}
