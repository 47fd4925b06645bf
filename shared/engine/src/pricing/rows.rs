//! Many options at once, column by column, as a chain is scanned.

use domain::symbol::Right;

use super::{Inputs, kernel, limit};

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
        let [price, delta, gamma, vega, theta, rho] = out.columns().map(|it| it.as_mut_slice());
        let (sign, spot, strike) = (self.sign.as_slice(), self.spot.as_slice(), self.strike.as_slice());
        let (years, rate, div) = (self.years.as_slice(), self.rate.as_slice(), self.div.as_slice());
        let vol = self.vol.as_slice();
        let inputs = sign.iter().zip(spot).zip(strike).zip(years).zip(rate).zip(div).zip(vol);
        let outputs = price.iter_mut().zip(delta).zip(gamma).zip(vega).zip(theta).zip(rho);
        for (row, answer) in inputs.zip(outputs) {
            let ((((((sign, spot), strike), years), rate), div), vol) = row;
            let (((((price, delta), gamma), vega), theta), rho) = answer;
            let it =
                Inputs { spot: *spot, strike: *strike, years: *years, rate: *rate, div: *div, vol: *vol };
            let valued = kernel::value(*sign, &it);
            *price = valued.price;
            *delta = valued.greeks.delta;
            *gamma = valued.greeks.gamma;
            *vega = valued.greeks.vega;
            *theta = valued.greeks.theta;
            *rho = valued.greeks.rho;
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
