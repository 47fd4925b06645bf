//! Legs of a structure, found in one expiration's strikes.

use domain::chain::ChainRow;
use domain::money::{CONTRACT_MULTIPLIER, Price, TickGrid, Usd};
use domain::symbol::{Right, Settlement};
use domain::ticket::{ComboLeg, ComboTerms, LegSide, Net, NetKind};

use super::super::Asked;
use super::super::chain::{Line, Smile};
use super::super::reason::Reason;
use super::super::strategy::Kind;

/// Volatility points by which puts must be over calls before the put wing widens, and by which it widens a strike more.
const SKEW_POINTS: f64 = 2.0;
/// The skew of a structure whose shorts are at the money is read at this delta.
const SKEW_DELTA: f64 = 0.25;
/// Strikes by which it widens at most.
const WIDER_MAX: usize = 3;

/// A leg with the quote that it was chosen at.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Picked<'a> {
    pub(in super::super) row: &'a ChainRow,
    pub(in super::super) leg: ComboLeg,
    pub(in super::super) bid: Price,
    pub(in super::super) ask: Price,
    pub(in super::super) vol: Option<f64>,
    pub(in super::super) delta: Option<f64>,
}

impl<'a> Picked<'a> {
    fn of(line: &Line<'a>, right: Right, side: LegSide, ratio: u32, carry: f64) -> Option<Self> {
        let row = line.row(right)?;
        let (bid, ask) = row.quote.two_sided()?;
        let leg = ComboLeg { series: row.series, side, ratio };
        Some(Self { row, leg, bid, ask, vol: line.vol, delta: line.delta(right, carry) })
    }

    /// The middle of its quote in dollars.
    pub(in super::super) fn mid(&self) -> f64 {
        self.bid.mid(self.ask)
    }

    /// Half of its quote's width in dollars.
    pub(in super::super) fn half(&self) -> f64 {
        0.5 * (self.ask.to_f64() - self.bid.to_f64())
    }

    /// Contracts of a unit, negative when short.
    pub(in super::super) fn signed(&self) -> f64 {
        f64::from(self.leg.ratio) * self.leg.side.side().sign() as f64
    }
}

/// How the grid asks for one structure: the short strikes' delta and the wings' width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) delta: f64,
    pub(super) width: f64,
}

/// Finds legs in a smile.
pub(super) struct Finder<'a, 's> {
    asked: &'s Asked<'a>,
    smile: &'s Smile<'a>,
    carry: f64,
}

impl<'a, 's> Finder<'a, 's> {
    pub(super) fn new(asked: &'s Asked<'a>, smile: &'s Smile<'a>) -> Self {
        Self { asked, smile, carry: smile.carry() }
    }

    /// Whether a series can be chosen: quoted on both sides, and with open interest where the strategy asks for any.
    fn may(&self, line: &Line<'a>, right: Right) -> bool {
        let asks = self.asked.set.liquidity.open_interest_min.is_some();
        line.row(right).is_some_and(|row| {
            row.quote.two_sided().is_some() && (!asks || row.open_interest.is_some_and(|it| it > 0))
        })
    }

    fn line(&self, at: usize) -> Result<&'s Line<'a>, Reason> {
        self.smile.lines.get(at).ok_or(Reason::StrikeMissing)
    }

    fn pick(&self, at: usize, right: Right, side: LegSide, ratio: u32) -> Result<Picked<'a>, Reason> {
        Picked::of(self.line(at)?, right, side, ratio, self.carry).ok_or(Reason::QuoteMissing)
    }

    /// The short strike of a right at `delta`, out of the money.
    fn short(&self, right: Right, delta: f64) -> Result<usize, Reason> {
        let forward = self.smile.forward;
        let basis = self.floor(right);
        let out = |it: &Line<'_>| match right {
            Right::Put => it.strike.points() < forward,
            Right::Call => it.strike.points() >= forward,
        };
        let all = |it: &Line<'a>| out(it) && self.may(it, right);
        let Some(basis) = basis else {
            return self.smile.by_delta(right, delta, all).ok_or(Reason::StrikeMissing);
        };
        let above = |it: &Line<'a>| it.strike.points() >= basis && all(it);
        self.smile.by_delta(right, delta, above).ok_or(Reason::BelowCostBasis)
    }

    /// Calls on shares are struck at or above their cost, unless the strategy says otherwise.
    fn floor(&self, right: Right) -> Option<f64> {
        let covers = self.asked.kind == Kind::CoveredCall && right == Right::Call;
        let basis = self.asked.portfolio.shares.and_then(|it| it.cost_basis)?;
        (covers && !self.asked.set.entry.below_cost_basis).then(|| basis.to_f64())
    }

    /// The wing `width` points beyond the strike at `from`, above it or below.
    fn wing(&self, from: usize, right: Right, is_above: bool, width: f64) -> Result<usize, Reason> {
        let sign = if is_above { 1.0 } else { -1.0 };
        let strike = self.line(from)?.strike.points();
        let target = strike + sign * width;
        let edge = if is_above { self.smile.lines.last() } else { self.smile.lines.first() };
        let edge = edge.ok_or(Reason::WingsBeyondChain)?.strike.points();
        if sign * (target - edge) > 0.0 {
            return Err(Reason::WingsBeyondChain);
        }
        let beyond = |it: &Line<'a>| {
            sign * (it.strike.points() - strike) > 0.0
                && (it.strike.points() - target).abs() <= 0.5 * width
                && self.may(it, right)
        };
        self.smile.nearest(target, beyond).ok_or(Reason::WingMissing)
    }

    /// The put wing, widened by the skew at `delta`.
    fn put_wing(&self, from: usize, width: f64, delta: f64) -> Result<usize, Reason> {
        let at = self.wing(from, Right::Put, false, width)?;
        Ok(self.below(at, self.wider(delta)))
    }

    /// The put so many usable strikes below, or as many as there are.
    fn below(&self, at: usize, strikes: usize) -> usize {
        let usable = |it: &usize| self.smile.lines.get(*it).is_some_and(|it| self.may(it, Right::Put));
        (0..at).rev().filter(usable).take(strikes).last().unwrap_or(at)
    }

    /// Strikes by which the put wing is widened: one for every two points that puts are over calls, where it is more.
    fn wider(&self, delta: f64) -> usize {
        let vol = |right| self.short(right, delta).ok().and_then(|at| self.smile.lines.get(at)?.vol);
        let Some(skew) = vol(Right::Put).zip(vol(Right::Call)).map(|(put, call)| 100.0 * (put - call)) else {
            return 0;
        };
        if skew > SKEW_POINTS { ((skew / SKEW_POINTS) as usize).min(WIDER_MAX) } else { 0 }
    }

    fn vertical(&self, right: Right, wish: Wish) -> Result<[Picked<'a>; 2], Reason> {
        let short = self.short(right, wish.delta)?;
        let wing = match right {
            Right::Put => self.put_wing(short, wish.width, wish.delta)?,
            Right::Call => self.wing(short, right, true, wish.width)?,
        };
        Ok([self.pick(wing, right, LegSide::BuyToOpen, 1)?, self.pick(short, right, LegSide::SellToOpen, 1)?])
    }

    /// The legs of a structure, as `wish` has them.
    pub(super) fn legs(&self, wish: Wish) -> Result<Vec<Picked<'a>>, Reason> {
        Ok(match self.asked.kind {
            Kind::CreditPutSpread => self.vertical(Right::Put, wish)?.to_vec(),
            Kind::CreditCallSpread => {
                let [long, short] = self.vertical(Right::Call, wish)?;
                vec![short, long]
            }
            Kind::IronCondor => {
                let [put_wing, put] = self.vertical(Right::Put, wish)?;
                let [call_wing, call] = self.vertical(Right::Call, wish)?;
                vec![put_wing, put, call, call_wing]
            }
            Kind::IronButterfly => self.iron_butterfly(wish)?.to_vec(),
            Kind::Butterfly => self.butterfly(wish)?.to_vec(),
            Kind::CashSecuredPut | Kind::Wheel => {
                vec![self.pick(self.short(Right::Put, wish.delta)?, Right::Put, LegSide::SellToOpen, 1)?]
            }
            Kind::CoveredCall => {
                vec![self.pick(self.short(Right::Call, wish.delta)?, Right::Call, LegSide::SellToOpen, 1)?]
            }
        })
    }

    fn iron_butterfly(&self, wish: Wish) -> Result<[Picked<'a>; 4], Reason> {
        let both = |it: &Line<'a>| self.may(it, Right::Put) && self.may(it, Right::Call);
        let body = self.smile.by_delta(Right::Call, wish.delta, both).ok_or(Reason::StrikeMissing)?;
        let put_wing = self.put_wing(body, wish.width, SKEW_DELTA)?;
        let call_wing = self.wing(body, Right::Call, true, wish.width)?;
        Ok([
            self.pick(put_wing, Right::Put, LegSide::BuyToOpen, 1)?,
            self.pick(body, Right::Put, LegSide::SellToOpen, 1)?,
            self.pick(body, Right::Call, LegSide::SellToOpen, 1)?,
            self.pick(call_wing, Right::Call, LegSide::BuyToOpen, 1)?,
        ])
    }

    fn butterfly(&self, wish: Wish) -> Result<[Picked<'a>; 3], Reason> {
        let right = self.asked.set.entry.butterfly_right;
        let may = |it: &Line<'a>| self.may(it, right);
        let body = self.smile.by_delta(right, wish.delta, may).ok_or(Reason::StrikeMissing)?;
        let at = self.line(body)?.strike;
        let low = self.wing(body, right, false, wish.width)?;
        let mirrored = at.0.saturating_mul(2).saturating_sub(self.line(low)?.strike.0);
        let last = self.smile.lines.last().ok_or(Reason::WingsBeyondChain)?.strike.0;
        if mirrored > last {
            return Err(Reason::WingsBeyondChain);
        }
        let high = self.smile.lines.binary_search_by_key(&mirrored, |it| it.strike.0);
        let high = high.ok().filter(|at| self.smile.lines.get(*at).is_some_and(may));
        Ok([
            self.pick(low, right, LegSide::BuyToOpen, 1)?,
            self.pick(body, right, LegSide::SellToOpen, 2)?,
            self.pick(high.ok_or(Reason::WingMissing)?, right, LegSide::BuyToOpen, 1)?,
        ])
    }
}

/// What a unit is entered at: mid, less `slippage` of half of every leg's width, on the grid and never better than that.
pub(super) fn entry_price(asked: &Asked<'_>, legs: &[Picked<'_>], slippage: f64) -> Result<Net, Reason> {
    let first = legs.first().ok_or(Reason::NoStructure)?;
    let root = first.leg.series.root;
    let mid: f64 = legs.iter().map(|it| it.signed() * it.mid()).sum();
    let half: f64 = legs.iter().map(|it| f64::from(it.leg.ratio) * it.half()).sum();
    // A hair off, so that an exact cent stays itself.
    let cents = ((mid + slippage * half) * 100.0 - 1e-6).ceil();
    let grid = if legs.len() == 1 {
        TickGrid::single_leg(&root, asked.today)
    } else {
        TickGrid::net(&root, false, asked.today)
    };
    let net = Net::from_cents(cents as i64).toward_fill(grid);
    let is_sold = asked.kind.sells_credit();
    match (net.kind(), is_sold) {
        (NetKind::Credit, true) | (NetKind::Debit, false) => Ok(net),
        (NetKind::Credit | NetKind::Debit | NetKind::Even, _) => Err(Reason::PremiumWrong),
    }
}

/// The most that a unit loses at that price, charges excluded: proven for structures with wings, down to nothing for the
/// share behind a single leg.
pub(super) fn unit_loss(asked: &Asked<'_>, legs: &[Picked<'_>], net: Net) -> Result<Usd, Reason> {
    if asked.kind.has_wings() {
        let legs = legs.iter().map(|it| it.leg).collect();
        return ComboTerms::check(legs, net).map(|it| it.max_loss()).map_err(|_| Reason::PremiumWrong);
    }
    let leg = legs.first().ok_or(Reason::NoStructure)?.leg;
    if leg.series.root.settlement() != Settlement::Physical {
        return Err(Reason::PremiumWrong);
    }
    let share = match leg.series.right {
        Right::Put => Usd::from_e4(i64::from(leg.series.strike.0).saturating_mul(10)),
        Right::Call => Usd::from_e4(asked.facts.spot.map_or(0, |it| it.value.0)),
    };
    let at_risk = share + net.usd();
    if at_risk > Usd::ZERO { Ok(at_risk.times(CONTRACT_MULTIPLIER)) } else { Err(Reason::PremiumWrong) }
}
