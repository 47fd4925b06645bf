use domain::money::Side;
use domain::symbol::OccSymbol;
use domain::ticket::ComboLeg;

fn leg(series: OccSymbol) -> ComboLeg {
    ComboLeg { series, side: Side::Sell, ratio: 1 }
}

fn main() {}
