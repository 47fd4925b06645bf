//! `claxton price`, `claxton iv` and `claxton indicators`: the mathematics on tables.

use std::io::{Read, Write};

use anyhow::{Context as _, bail};
use domain::symbol::Right;
use engine::indicators::{Bar, Indicators, Reading};
use engine::pricing::{Inputs, NoVol, evaluate, implied_vol, p_itm, p_touch};
use jiff::civil::Date;

use super::table::{Row, Table};

/// Shown under `claxton price --help`.
pub(super) const PRICE_EXAMPLE: &str = "Example:
  claxton price <<'END'
  kind,spot,strike,t_years,rate,div,vol
  call,5611.25,5700,0.0833,0.043,0.013,0.16
  END";

/// Shown under `claxton iv --help`.
pub(super) const IV_EXAMPLE: &str = "Example:
  claxton iv <<'END'
  kind,spot,strike,t_years,rate,div,price
  put,5611.25,5500,0.0833,0.043,0.013,52.4
  END";

/// Shown under `claxton indicators --help`.
pub(super) const INDICATORS_EXAMPLE: &str = "Example:
  claxton indicators < SPY.csv
where SPY.csv starts with
  date,high,low,close
  2026-01-02,683.20,678.15,681.92";

const PLACE: [&str; 6] = ["kind", "spot", "strike", "t_years", "rate", "div"];

/// Prices the rows of `from`.
pub(super) fn price(from: impl Read, out: &mut impl Write, notes: &mut impl Write) -> anyhow::Result<()> {
    let [kind, spot, strike, years, rate, div] = PLACE;
    let wanted = [kind, spot, strike, years, rate, div, "vol"];
    let added = ["price", "delta", "gamma", "vega", "theta", "rho", "p_itm", "p_touch"];
    let mut table = Table::open(from, out, &wanted, None, &added)?;
    let mut refused = Refused::default();
    while let Some(row) = table.next()? {
        match priced(&table, &row) {
            Ok(values) => table.write(&row, &values.map(Some))?,
            Err(why) => refused.note(&row, &why, notes)?,
        }
    }
    table.finish()?;
    refused.end()
}

fn priced(table: &Table<'_, impl Read, impl Write>, row: &Row) -> anyhow::Result<[f64; 8]> {
    let (right, inputs) = inputs(table, row)?;
    let inputs = Inputs { vol: table.number(row, 6, "vol")?, ..inputs };
    let valued = evaluate(right, &inputs)?;
    let g = valued.greeks;
    let (itm, touch) = (p_itm(right, &inputs)?, p_touch(&inputs)?);
    Ok([valued.price, g.delta, g.gamma, g.vega, g.theta, g.rho, itm, touch])
}

/// Finds the volatilities of the rows of `from`.
pub(super) fn iv(from: impl Read, out: &mut impl Write, notes: &mut impl Write) -> anyhow::Result<()> {
    let [kind, spot, strike, years, rate, div] = PLACE;
    let wanted = [kind, spot, strike, years, rate, div, "price"];
    let mut table = Table::open(from, out, &wanted, None, &["vol"])?;
    let mut refused = Refused::default();
    while let Some(row) = table.next()? {
        match implied(&table, &row) {
            Ok(Ok(vol)) => table.write(&row, &[Some(vol)])?,
            Ok(Err(why)) => {
                table.write(&row, &[None])?;
                refused.note(&row, &why.into(), notes)?;
            }
            Err(why) => refused.note(&row, &why, notes)?,
        }
    }
    table.finish()?;
    refused.end()
}

/// A price that no volatility gives is an answer about the row; a row that cannot be read is none.
fn implied(table: &Table<'_, impl Read, impl Write>, row: &Row) -> anyhow::Result<Result<f64, NoVol>> {
    let (right, inputs) = inputs(table, row)?;
    let price = table.number(row, 6, "price")?;
    match implied_vol(right, price, &inputs) {
        Err(why @ (NoVol::Input(_) | NoVol::NotFinite(_))) => Err(why.into()),
        answer => Ok(answer),
    }
}

fn inputs(table: &Table<'_, impl Read, impl Write>, row: &Row) -> anyhow::Result<(Right, Inputs)> {
    let right = match table.text(row, 0)?.to_ascii_lowercase().as_str() {
        "call" | "c" => Right::Call,
        "put" | "p" => Right::Put,
        other => bail!("kind is {other:?}: expected call or put"),
    };
    let number = |place| table.number(row, place, PLACE.get(place).copied().unwrap_or_default());
    let inputs = Inputs {
        spot: number(1)?,
        strike: number(2)?,
        years: number(3)?,
        rate: number(4)?,
        div: number(5)?,
        vol: 0.0,
    };
    Ok((right, inputs))
}

/// Computes the indicators of the bars of `from`, in their order.
pub(super) fn indicators(from: impl Read, out: &mut impl Write) -> anyhow::Result<()> {
    let added = ["ema20", "sma50", "rsi14", "macd", "macd_signal", "macd_hist", "adx14", "rv20"];
    let mut table = Table::open(from, out, &["date", "high", "low", "close"], Some(&["date"]), &added)?;
    let mut indicators = Indicators::default();
    let mut last = None;
    while let Some(row) = table.next()? {
        // What follows a bar that is left out would be wrong: unlike a price, it depends on the rows before.
        let read = bar(&table, &row, last).and_then(|(date, bar)| Ok((date, indicators.push(&bar)?)));
        match read {
            Ok((date, reading)) => {
                last = Some(date);
                table.write(&row, &columns(&reading))?;
            }
            Err(why) => {
                table.finish()?;
                return Err(why.context(format!("line {}, where the table ends", row.line)));
            }
        }
    }
    table.finish()
}

fn bar(
    table: &Table<'_, impl Read, impl Write>,
    row: &Row,
    last: Option<Date>,
) -> anyhow::Result<(Date, Bar)> {
    let text = table.text(row, 0)?;
    let date: Date = text
        .parse()
        .ok()
        .with_context(|| format!("date is {text:?}: expected year-month-day, such as 2026-11-20"))?;
    if let Some(last) = last.filter(|last| date <= *last) {
        bail!("date {date} does not follow {last}: sort the rows by date, one a day");
    }
    let bar = Bar {
        high: table.number(row, 1, "high")?,
        low: table.number(row, 2, "low")?,
        close: table.number(row, 3, "close")?,
    };
    Ok((date, bar))
}

fn columns(it: &Reading) -> [Option<f64>; 8] {
    let (line, signal) = (it.macd.map(|it| it.line), it.macd.map(|it| it.signal));
    let histogram = it.macd.map(|it| it.histogram);
    [it.ema20, it.sma50, it.rsi14, line, signal, histogram, it.adx14, it.rv20]
}

/// Rows without an answer.
#[derive(Default)]
struct Refused(u64);

impl Refused {
    fn note(&mut self, row: &Row, why: &anyhow::Error, notes: &mut impl Write) -> anyhow::Result<()> {
        self.0 += 1;
        // The cause of a number that cannot be read says no more than what was expected.
        writeln!(notes, "claxton: line {}: {why}", row.line)?;
        Ok(())
    }

    fn end(&self) -> anyhow::Result<()> {
        match self.0 {
            0 => Ok(()),
            1 => bail!("1 row has no answer: the line above says why"),
            n => bail!("{n} rows have no answer: the lines above say why"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Command = fn(&[u8], &mut Vec<u8>, &mut Vec<u8>) -> anyhow::Result<()>;

    const PRICE: Command = |from, out, notes| price(from, out, notes);
    const IV: Command = |from, out, notes| iv(from, out, notes);
    const INDICATORS: Command = |from, out, _| indicators(from, out);

    /// Output, notes and the error of a command over `input`.
    fn ran(command: Command, input: &str) -> (String, String, Option<String>) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let error =
            command(input.as_bytes(), &mut out, &mut notes).err().map(|it| super::super::one_line(&it));
        (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap(), error)
    }

    #[test]
    fn a_price_stands_behind_its_row_to_the_last_digit() {
        let input =
            "kind,spot,strike,t_years,rate,div,vol\ncall,42,40,0.5,0.10,0,0.20\nput,42,40,0.5,0.10,0,0.20\n";
        let (out, notes, error) = ran(PRICE, input);
        assert_eq!((notes.as_str(), error), ("", None));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines[0],
            "kind,spot,strike,t_years,rate,div,vol,price,delta,gamma,vega,theta,rho,p_itm,p_touch"
        );
        assert!(lines[1].starts_with("call,42,40,0.5,0.10,0,0.20,4.75942239287"), "{}", lines[1]);
        assert!(lines[2].starts_with("put,42,40,0.5,0.10,0,0.20,0.8085993729"), "{}", lines[2]);
        assert_eq!((lines.len(), lines[1].split(',').count()), (3, 15));
        // What is read back is the same number.
        let price: f64 = lines[1].split(',').nth(7).unwrap().parse().unwrap();
        let inputs = Inputs { spot: 42.0, strike: 40.0, years: 0.5, rate: 0.1, div: 0.0, vol: 0.2 };
        assert_eq!(price.to_bits(), engine::pricing::price(Right::Call, &inputs).to_bits());
    }

    #[test]
    fn columns_go_by_name_in_any_order_and_others_are_kept() {
        let input = "\u{feff}vol, id,kind,strike,spot,div,rate,t_years\r\n0.20,a,C,40,42,0,0.10,0.5\r\n\r\n0.20,\"b,c\",PUT,40,42,0,0.10,0.5\r\n";
        let (out, _, error) = ran(PRICE, input);
        assert_eq!(error, None);
        assert!(out.starts_with("vol,id,kind,strike,spot,div,rate,t_years,price,"), "{out}");
        assert!(out.contains("\n0.20,a,C,40,42,0,0.10,0.5,4.7594"), "{out}");
        assert!(out.contains("\n0.20,\"b,c\",PUT,40,42,0,0.10,0.5,0.80859"), "{out}");
    }

    #[test]
    fn the_volatility_of_a_price_is_the_one_it_was_made_with() {
        let input = "kind,spot,strike,t_years,rate,div,vol\ncall,5611.25,5700,0.0833,0.043,0.013,0.16\nput,100,80,1.5,0.02,0,0.75\n";
        let (priced, ..) = ran(PRICE, input);
        let (out, notes, error) = ran(IV, &priced);
        assert_eq!((notes.as_str(), error), ("", None));
        let header = out.lines().next().unwrap();
        assert_eq!(header.matches("vol").count(), 1, "the column is replaced: {header}");
        for (line, vol) in out.lines().skip(1).zip([0.16, 0.75]) {
            let found: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
            assert!((found / vol - 1.0).abs() < 1e-12, "{line}");
        }
    }

    #[test]
    fn a_bad_row_is_refused_by_its_line_and_the_others_are_answered() {
        let good = "call,42,40,0.5,0.1,0,0.2";
        for (bad, told) in [
            ("call,0,40,0.5,0.1,0,0.2", "line 3: spot is 0.0: expected 1e-6 to 1000000000000.0"),
            ("call,42,-1,0.5,0.1,0,0.2", "line 3: strike is -1.0: expected"),
            ("call,42,40,-0.5,0.1,0,0.2", "line 3: t_years is -0.5: expected 0.0 to 100.0"),
            ("call,42,40,0.5,inf,0,0.2", "line 3: rate is inf: expected a finite number"),
            ("call,42,40,0.5,0.1,5,0.2", "line 3: div is 5.0: expected -2.0 to 2.0"),
            ("call,42,40,0.5,0.1,0,NaN", "line 3: vol is NaN: expected a finite number"),
            ("call,42,40,0.5,0.1,0,", "line 3: vol is \"\": expected a number such as 0.25"),
            ("call,42,4O,0.5,0.1,0,0.2", "line 3: strike is \"4O\": expected a number"),
            ("straddle,42,40,0.5,0.1,0,0.2", "line 3: kind is \"straddle\": expected call or put"),
            ("call,42,40,0.5,0.1,0", "line 3: 6 columns: expected 7, as the header has"),
        ] {
            let input = format!("kind,spot,strike,t_years,rate,div,vol\n{good}\n{bad}\n{good}\n");
            let (out, notes, error) = ran(PRICE, &input);
            assert!(notes.starts_with(&format!("claxton: {told}")), "{bad}: {notes}");
            assert_eq!(out.lines().count(), 3, "{bad}");
            assert!(error.unwrap().contains("1 row has no answer"));
        }
    }

    #[test]
    fn a_price_without_a_volatility_keeps_its_row_and_says_why() {
        let input = "kind,spot,strike,t_years,rate,div,price\ncall,100,90,0.25,0,0,9.5\ncall,100,90,0.25,0,0,101\nput,100,90,0.25,0,0,1\n";
        let (out, notes, error) = ran(IV, input);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((lines[1], lines[2]), ("call,100,90,0.25,0,0,9.5,", "call,100,90,0.25,0,0,101,"));
        assert!(lines[3].starts_with("put,100,90,0.25,0,0,1,0.2"), "{}", lines[3]);
        assert!(notes.contains("line 2: price is not above 10.0, the discounted intrinsic value"), "{notes}");
        assert!(notes.contains("line 3: price is not below 100.0"), "{notes}");
        assert!(error.unwrap().contains("2 rows have no answer"));
    }

    #[test]
    fn a_header_that_lacks_a_column_or_has_it_twice_is_refused() {
        for (command, input, told) in [
            (
                PRICE,
                "kind,spot,strike,t_years,rate,div\n",
                "column vol is missing: expected the header kind,spot",
            ),
            (IV, "kind,spot,strike,t_years,rate,div,vol\n", "column price is missing"),
            (PRICE, "kind,spot,spot,strike,t_years,rate,div,vol\n", "column spot stands there twice"),
            (INDICATORS, "date,open,close\n", "column high is missing"),
            (PRICE, "", "column kind is missing"),
        ] {
            let (out, _, error) = ran(command, input);
            assert_eq!(out, "");
            assert!(error.unwrap().contains(told), "{input}");
        }
    }

    #[test]
    fn indicators_stand_beside_their_date_and_are_empty_while_they_warm_up() {
        let table = include_str!("../../../../shared/engine/tests/reference/indicators.csv");
        let input: String =
            table.lines().map(|it| it.splitn(5, ',').take(4).collect::<Vec<_>>().join(",") + "\n").collect();
        let (out, _, error) = ran(INDICATORS, &input);
        assert_eq!(error, None);
        assert_eq!(out.lines().count(), table.lines().count());
        assert!(out.starts_with("date,ema20,sma50,rsi14,macd,macd_signal,macd_hist,adx14,rv20\n"), "{out}");
        for (got, expected) in out.lines().zip(table.lines()).skip(1) {
            let got: Vec<&str> = got.split(',').collect();
            let expected: Vec<&str> = expected.split(',').collect();
            assert_eq!(got[0], expected[0]);
            for (got, expected) in got[1..].iter().zip(&expected[4..]) {
                match expected.parse::<f64>() {
                    Ok(value) => assert!((got.parse::<f64>().unwrap() - value).abs() <= 1e-9),
                    Err(_) => assert_eq!(*got, ""),
                }
            }
        }
    }

    #[test]
    fn the_indicators_end_at_the_first_bar_that_cannot_be() {
        let header = "date,high,low,close\n2026-01-02,101,99,100\n";
        for (bad, told) in [
            ("2026-01-05,99,101,100", "line 3, where the table ends: close is 100.0, outside of low 101.0"),
            ("2026-01-05,101,99,0", "close is 0.0: expected a number above 0"),
            ("2026-01-02,101,99,100", "date 2026-01-02 does not follow 2026-01-02: sort the rows"),
            ("01/05/2026,101,99,100", "date is \"01/05/2026\": expected year-month-day"),
            ("2026-01-05,x,99,100", "high is \"x\": expected a number"),
        ] {
            let (out, _, error) = ran(INDICATORS, &format!("{header}{bad}\n2026-01-06,101,99,100\n"));
            assert!(error.as_ref().is_some_and(|it| it.contains(told)), "{error:?}");
            assert_eq!(out.lines().count(), 2, "{bad}");
        }
    }
}
