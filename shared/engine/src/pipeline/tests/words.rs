//! What the owner of a strategy reads.

use super::super::*;
use super::world::World;

#[test]
fn a_no_is_explained_gate_by_gate_with_what_would_have_changed_it() {
    let world = World::condor().with(|it| {
        it.facts.vix.as_mut().unwrap().value = 19.38;
        it.facts.indicators.adx14 = Some(31.2);
        it.facts.implied = None;
    });
    insta::assert_snapshot!(waterfall(&world.decide()), @r"
    iron_condor SPX (iron_condor on SPX) at 2026-11-20T11:00:00 New York: stand
    Stage E1, term_inverted: VIX is not under VIX3M: the term structure is inverted.
    The term structure is inverted: safe mode.

    A   universe and data       pass     spot 5600, required > 0 points
    B   calendar                pass     macro_age 0, required <= 86400 s
    C   liquidity of the chain  pass     spread_pct 2.1368, required <= 10 % of mid
    D   days to expiry          pass     dte 38, required 30 to 45
    E1  term structure          BLOCK    term_ratio 1.02, required < 1: term_inverted
    E2  regime                  BLOCK    vol_premium not known, required > 0: implied_missing
                                         adx14 31.2, required < 25: adx_high
    E3  IV rank                 skip     not_asked
    F   structure               pass     gamma_loss 0.0072, required <= 0.5 of max loss
    C2  liquidity of the legs   pass     spread_pct SPXW261228C05900000 2.5707, required <= 10 % of mid
    F3  leg collision           pass     opposed_legs 0, required <= 0
    G1  earnings                pass     earnings index, required index
    G2  ex-dividend             pass     dividends index, required index
    G3  expected value          pass     smile_gap 6.3434, required <= 270 $
    G4  portfolio risk          pass     strategy_positions 1, required <= 3
    H   execution hours         pass     since_open 5400, required >= 0 s

    1 x iron_condor of 2026-12-28 (38 days) for a credit of 20.15
      buy  1 SPXW261228P05225000 at 25.70 x 26.30, delta -0.133, volatility 0.207
      sell 1 SPXW261228P05325000 at 38.50 x 39.40, delta -0.192, volatility 0.196
      sell 1 SPXW261228C05850000 at 27.00 x 27.70, delta 0.195, volatility 0.143
      buy  1 SPXW261228C05900000 at 19.20 x 19.70, delta 0.148, volatility 0.143
      most profit 2015.00, most loss 7985.00, friction 47.94
      ev_p 1195.27, at 1.2 x volatility 766.37, under the smile -124.28; ev_net -1817.05
      profit 0.870, shorts out of the money 0.622, touch 0.420, expected move 297.7
      18 candidates over 2 expirations, 8 ruled out

    It would enter with term_ratio < 1 instead of 1.02
                    and vol_premium > 0 instead of not known
                    and adx14 < 25 instead of 31.2
    ");
}

#[test]
fn a_yes_says_what_it_enters_and_what_would_have_stopped_it() {
    let text = waterfall(&World::condor().decide());
    insta::assert_snapshot!(text, @r"
    iron_condor SPX (iron_condor on SPX) at 2026-11-20T11:00:00 New York: enter

    A   universe and data       pass     spot 5600, required > 0 points
    B   calendar                pass     macro_age 0, required <= 86400 s
    C   liquidity of the chain  pass     spread_pct 2.1368, required <= 10 % of mid
    D   days to expiry          pass     dte 38, required 30 to 45
    E1  term structure          pass     term_ratio 0.8947, required < 1
    E2  regime                  pass     adx14 18, required < 25
    E3  IV rank                 skip     not_asked
    F   structure               pass     gamma_loss 0.0072, required <= 0.5 of max loss
    C2  liquidity of the legs   pass     spread_pct SPXW261228C05900000 2.5707, required <= 10 % of mid
    F3  leg collision           pass     opposed_legs 0, required <= 0
    G1  earnings                pass     earnings index, required index
    G2  ex-dividend             pass     dividends index, required index
    G3  expected value          pass     smile_gap 6.3434, required <= 270 $
    G4  portfolio risk          pass     strategy_positions 1, required <= 3
    H   execution hours         pass     since_open 5400, required >= 0 s

    1 x iron_condor of 2026-12-28 (38 days) for a credit of 20.15
      buy  1 SPXW261228P05225000 at 25.70 x 26.30, delta -0.133, volatility 0.207
      sell 1 SPXW261228P05325000 at 38.50 x 39.40, delta -0.192, volatility 0.196
      sell 1 SPXW261228C05850000 at 27.00 x 27.70, delta 0.195, volatility 0.143
      buy  1 SPXW261228C05900000 at 19.20 x 19.70, delta 0.148, volatility 0.143
      most profit 2015.00, most loss 7985.00, friction 47.94
      ev_p 1195.27, at 1.2 x volatility 766.37, under the smile -124.28; ev_net -1817.05
      profit 0.870, shorts out of the money 0.622, touch 0.420, expected move 297.7
      18 candidates over 2 expirations, 8 ruled out

    It would stand with term_ratio not < 1 instead of 0.8947
    ");
}
