//! Many options at once, column by column, as a chain is scanned.

use domain::symbol::Right;

use super::kernel::{Present, Reach, put_together};
use super::{Inputs, limit};

/// Rows that go through one stage after the other together: each stage is a short loop, of which the processor overlaps
/// several turns, and what passes between them stays in its nearest cache.
const BLOCK: usize = 64;
/// A column of a block.
type Lane = [f64; BLOCK];

/// Columns of inputs: what a loop over them reads lies side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    sign: Vec<f64>,
    spot: Vec<f64>,
    strike: Vec<f64>,
    years: Vec<f64>,
    rate: Vec<f64>,
    div: Vec<f64>,
    vol: Vec<f64>,
    /// Rows without uncertainty, which have a limit instead of a formula.
    still: Vec<(usize, Right)>,
}

/// Columns of values, in the order of the rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// See [`price`](super::price).
    pub price: Vec<f64>,
    /// See [`Greeks::delta`](super::Greeks::delta).
    pub delta: Vec<f64>,
    /// See [`Greeks::gamma`](super::Greeks::gamma).
    pub gamma: Vec<f64>,
    /// See [`Greeks::vega`](super::Greeks::vega).
    pub vega: Vec<f64>,
    /// See [`Greeks::theta`](super::Greeks::theta).
    pub theta: Vec<f64>,
    /// See [`Greeks::rho`](super::Greeks::rho).
    pub rho: Vec<f64>,
}

impl Values {
    fn columns(&mut self) -> [&mut Vec<f64>; 6] {
        [&mut self.price, &mut self.delta, &mut self.gamma, &mut self.vega, &mut self.theta, &mut self.rho]
    }
}

impl Rows {
    /// Adds a row.
    pub fn push(&mut self, right: Right, it: &Inputs) {
        if !it.is_uncertain() {
            self.still.push((self.len(), right));
        }
        self.sign.push(right.sign());
        self.spot.push(it.spot);
        self.strike.push(it.strike);
        self.years.push(it.years);
        self.rate.push(it.rate);
        self.div.push(it.div);
        self.vol.push(it.vol);
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.sign.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.sign.is_empty()
    }

    /// Values every row, to the bit as [`price`](super::price) and [`greeks`](super::greeks) do. What `out` held is
    /// replaced.
    pub fn value(&self, out: &mut Values) {
        let n = self.len();
        for column in out.columns() {
            column.resize(n, 0.0);
        }
        let mut block = Block::new();
        for from in (0..n).step_by(BLOCK) {
            let inputs =
                [&self.sign, &self.spot, &self.strike, &self.years, &self.rate, &self.div, &self.vol];
            let lanes = [
                &mut block.sign,
                &mut block.spot,
                &mut block.strike,
                &mut block.years,
                &mut block.rate,
                &mut block.div,
                &mut block.vol,
            ];
            for (lane, column) in lanes.into_iter().zip(inputs) {
                copy(column.get(from..).unwrap_or_default(), lane);
            }
            block.value();
            for (lane, column) in block.out.iter().zip(out.columns()) {
                copy(lane, column.get_mut(from..).unwrap_or_default());
            }
        }
        for (row, right) in &self.still {
            self.settle(*row, *right, out);
        }
    }

    /// Writes the limit over what the formula made of a row without uncertainty.
    fn settle(&self, row: usize, right: Right, out: &mut Values) {
        let at = |column: &[f64]| column.get(row).copied().unwrap_or(f64::NAN);
        let it = Inputs {
            spot: at(&self.spot),
            strike: at(&self.strike),
            years: at(&self.years),
            rate: at(&self.rate),
            div: at(&self.div),
            vol: at(&self.vol),
        };
        let limit = limit::value(right, &it);
        let g = limit.greeks;
        let answer = [limit.price, g.delta, g.gamma, g.vega, g.theta, g.rho];
        for (column, value) in out.columns().into_iter().zip(answer) {
            if let Some(cell) = column.get_mut(row) {
                *cell = value;
            }
        }
    }
}

/// As much as fits.
fn copy(from: &[f64], to: &mut [f64]) {
    let n = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..n), to.get_mut(..n)) {
        to.copy_from_slice(from);
    }
}

/// Some rows, and what passes between the stages, column by column.
struct Block {
    sign: Lane,
    spot: Lane,
    strike: Lane,
    years: Lane,
    rate: Lane,
    div: Lane,
    vol: Lane,
    present: [Lane; 4],
    reach: [Lane; 5],
    mills: [Lane; 2],
    out: [Lane; 6],
}

const EMPTY: Lane = [1.0; BLOCK];

#[expect(clippy::indexing_slicing, reason = "lanes have BLOCK places and every index is below it")]
impl Block {
    const fn new() -> Self {
        Self {
            sign: EMPTY,
            spot: EMPTY,
            strike: EMPTY,
            years: EMPTY,
            rate: EMPTY,
            div: EMPTY,
            vol: EMPTY,
            present: [EMPTY; 4],
            reach: [EMPTY; 5],
            mills: [EMPTY; 2],
            out: [EMPTY; 6],
        }
    }

    #[inline(always)]
    fn inputs(&self, i: usize) -> Inputs {
        Inputs {
            spot: self.spot[i],
            strike: self.strike[i],
            years: self.years[i],
            rate: self.rate[i],
            div: self.div[i],
            vol: self.vol[i],
        }
    }

    #[inline(always)]
    fn present(&self, i: usize) -> Present {
        let [spot, strike, gap, log] = &self.present;
        Present { spot: spot[i], strike: strike[i], gap: gap[i], log: log[i] }
    }

    #[inline(always)]
    fn reach(&self, i: usize) -> Reach {
        let [root_t, sd, per_sd, far, density] = &self.reach;
        Reach { root_t: root_t[i], sd: sd[i], per_sd: per_sd[i], far: far[i], density: density[i] }
    }

    fn value(&mut self) {
        for i in 0..BLOCK {
            let it = Present::of(&self.inputs(i));
            let [spot, strike, gap, log] = &mut self.present;
            (spot[i], strike[i], gap[i], log[i]) = (it.spot, it.strike, it.gap, it.log);
        }
        for i in 0..BLOCK {
            let it = Reach::of(&self.inputs(i), &self.present(i));
            let [root_t, sd, per_sd, far, density] = &mut self.reach;
            (root_t[i], sd[i], per_sd[i], far[i], density[i]) =
                (it.root_t, it.sd, it.per_sd, it.far, it.density);
        }
        for i in 0..BLOCK {
            let (at_u, at_w) = self.reach(i).mills();
            let [us, ws] = &mut self.mills;
            (us[i], ws[i]) = (at_u, at_w);
        }
        for i in 0..BLOCK {
            let [us, ws] = &self.mills;
            let it =
                put_together(self.sign[i], &self.inputs(i), &self.present(i), &self.reach(i), (us[i], ws[i]));
            let [price, delta, gamma, vega, theta, rho] = &mut self.out;
            let g = it.greeks;
            (price[i], delta[i], gamma[i]) = (it.price, g.delta, g.gamma);
            (vega[i], theta[i], rho[i]) = (g.vega, g.theta, g.rho);
        }
    }
}
