//! Strategy rows: typed, validated on write, by nine names.

use domain::symbol::Underlying;

use super::super::*;

fn json(kind: Kind, underlying: Underlying) -> serde_json::Value {
    serde_json::to_value(preset(kind, underlying)).unwrap()
}

/// What is said of a row.
fn refused(row: &serde_json::Value) -> (String, String) {
    let BadStrategy(all) = Strategy::parse(&serde_json::to_string_pretty(row).unwrap()).unwrap_err();
    (all[0].field.clone(), all[0].message.clone())
}

#[test]
fn all_nine_names_are_read_and_iron_fly_is_an_alias() {
    assert_eq!(NAMES.len(), 9);
    for (name, kind) in NAMES {
        let underlying = if kind.has_wings() { Underlying::SPX } else { Underlying::SPY };
        let mut row = json(kind, underlying);
        row["type"] = name.into();
        let read = Strategy::parse(&row.to_string()).unwrap();
        assert_eq!(read.settings().kind, kind, "{name}");
        assert_eq!(Kind::parse(name), Some(kind));
        // Written again it has its canonical name, and reads as itself.
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Strategy>(&text).unwrap(), read);
        assert!(text.contains(&format!("\"type\":\"{}\"", kind.as_str())));
    }
    assert_eq!(Kind::IronButterfly.as_str(), "iron_butterfly");
    assert_eq!(Kind::parse("iron_eagle"), None);
}

#[test]
fn presets_of_every_type_and_underlying_are_valid_and_start_switched_off() {
    let stock: Underlying = "AAPL".parse().unwrap();
    for (_, kind) in NAMES {
        for underlying in [Underlying::SPX, Underlying::SPY, Underlying::QQQ, stock] {
            let settings = preset(kind, underlying);
            assert!(!settings.enabled);
            let is_covered = !kind.has_wings() && underlying.is_index();
            assert_eq!(Strategy::try_from(settings).is_err(), is_covered, "{kind:?} on {underlying}");
        }
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_what_there_is() {
    let mut row = json(Kind::IronCondor, Underlying::SPX);
    row["entry"]["minDet"] = 30.into();
    let (field, message) = refused(&row);
    assert_eq!(field, "minDet");
    assert!(message.contains("minDte"), "{message}");
    let mut row = json(Kind::IronCondor, Underlying::SPX);
    row["colour"] = "green".into();
    assert_eq!(refused(&row).0, "colour");
}

#[test]
fn a_value_of_another_type_and_a_missing_one_name_their_field() {
    for (section, key, value, said) in [
        ("entry", "maxDte", serde_json::json!("forty"), "maxDte"),
        ("entry", "minDte", serde_json::json!(-1), "minDte"),
        ("entry", "widths", serde_json::json!("wide"), "widths"),
        ("regime", "adxMax", serde_json::json!([]), "adxMax"),
        ("liquidity", "volumeMin", serde_json::json!(1.5), "volumeMin"),
    ] {
        let mut row = json(Kind::IronCondor, Underlying::SPX);
        row[section][key] = value;
        let (field, message) = refused(&row);
        assert_eq!(field, said, "{message}");
    }
    let mut row = json(Kind::IronCondor, Underlying::SPX);
    row["type"] = "iron_eagle".into();
    assert_eq!(refused(&row).0, "type");
    let mut row = json(Kind::IronCondor, Underlying::SPX);
    row.as_object_mut().unwrap().remove("maxPositions");
    assert_eq!(refused(&row).0, "maxPositions");
}

#[test]
fn a_wrong_range_is_an_error_that_names_the_field_and_what_was_expected() {
    type Change = fn(&mut Settings);
    let cases: [(&str, Change); 22] = [
        ("name", |it| it.name = " ".to_owned()),
        ("preferredBroker", |it| it.preferred_broker.clear()),
        ("maxPositions", |it| it.max_positions = 0),
        ("entry.minDte", |it| it.entry.min_dte = 46),
        ("entry.maxDte", |it| it.entry.max_dte = 731),
        ("entry.delta", |it| it.entry.delta = 16.0),
        ("entry.delta", |it| it.entry.delta = f64::NAN),
        ("entry.deltaStep", |it| it.entry.delta_step = -0.1),
        ("entry.expirationsMax", |it| it.entry.expirations_max = 0),
        ("entry.widths", |it| it.entry.widths.clear()),
        ("entry.widths", |it| it.entry.widths = vec![50.0, 25.0]),
        ("entry.widths", |it| it.entry.widths = vec![-5.0]),
        ("entry.slippage", |it| it.entry.slippage = f64::INFINITY),
        ("entry.ivRank.max", |it| it.entry.iv_rank = Some(Range { min: 0.5, max: 0.4 })),
        ("entry.cutoffMinutes", |it| it.entry.cutoff_minutes = 400),
        ("exit.profit.pctOfPremium", |it| it.exit.profit = Some(Profit::PctOfPremium(0.0))),
        ("exit.stop.dollars", |it| it.exit.stop = Some(Stop::Dollars(-1.0))),
        ("exit.timeStopDte", |it| it.exit.time_stop_dte = Some(31)),
        ("regime.adxMax", |it| it.regime.adx_max = Some(0.0)),
        ("liquidity.spreadPctMax", |it| it.liquidity.spread_pct_max = 0.0),
        ("size.fixed", |it| it.size = Size::Fixed(0)),
        ("size.risk.unitsMax", |it| {
            it.size = Size::Risk { usd: domain::money::Usd::from_dollars(5), units_max: 0 };
        }),
    ];
    for (field, change) in cases {
        let mut settings = preset(Kind::IronCondor, Underlying::SPX);
        change(&mut settings);
        let BadStrategy(all) = Strategy::try_from(settings).unwrap_err();
        assert_eq!(all.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), [field]);
        assert!(all[0].message.contains("expected"), "{}", all[0].message);
    }
    // Everything that is wrong is said at once.
    let mut settings = preset(Kind::IronCondor, Underlying::SPX);
    (settings.max_positions, settings.entry.delta) = (0, 2.0);
    let said = Strategy::try_from(settings).unwrap_err().to_string();
    assert!(said.contains("maxPositions: 0") && said.contains("entry.delta: 2"), "{said}");
}

#[test]
fn a_share_is_needed_for_what_is_assigned_and_a_single_leg_has_no_wings() {
    let (field, _) = refused(&json(Kind::Wheel, Underlying::SPX));
    assert_eq!(field, "underlying");
    let mut row = json(Kind::CoveredCall, Underlying::SPY);
    row["entry"]["widths"] = serde_json::json!([5.0]);
    assert_eq!(refused(&row).0, "entry.widths");
}
