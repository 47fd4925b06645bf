//! Thresholds of the detectors and the lifecycle, in versioned profiles: data, not code.
//!
//! A profile never changes once it is used; another set of thresholds is another version.

mod families;

use serde::{Deserialize, Serialize};

pub use families::{
    ContextRules, Families, GammaSqueeze, Governance, LevelTest, MeanReversion, RegimeRules, Shape, Standing,
    Strengths, TrendPullback, VolumeClimax, VwapRules, Weights,
};

/// Every threshold the `orb_breakout` family is found and led by. Distances named `_atr` are multiples of ATR(14) on
/// 1 min, those named `_r` multiples of the setup's `r_index`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Its name and version, kept with every setup.
    pub version: String,
    /// Length of the opening range in minutes: 5, 15 or 30.
    pub range_minutes: u32,
    /// The range does not start earlier after the open than this.
    pub range_delay_secs: u32,
    /// Index and proxy x ratio must agree within this many points before the range starts.
    pub agreement_points: f64,
    /// A narrower range is noise, not a level.
    pub range_width_min_atr: f64,
    /// From inside the range, a setup forms when the edge is this near.
    pub approach_atr: f64,
    /// A 1 s close this far beyond the edge is the break.
    pub break_buffer_atr: f64,
    /// The break must hold this long before it triggers.
    pub break_hold_secs: u32,
    /// Height of the entry zone, from the edge outwards.
    pub zone_atr: f64,
    /// R as a part of the range's height ...
    pub stop_range_part: f64,
    /// ... but no less than this ...
    pub r_min_atr: f64,
    /// ... and no more than this.
    pub r_max_atr: f64,
    /// A close this far back inside the edge breaks the idea of a setup that is ready.
    pub invalid_r: f64,
    /// A close this far beyond the zone without an entry misses the setup.
    pub missed_r: f64,
    /// After a break, a pullback setup forms once price was this far beyond the edge.
    pub departure_atr: f64,
    /// A pullback turns with a close this far back up from its extreme.
    pub turn_atr: f64,
    /// Coverage of the proxy's prints by quotes over the window, at least.
    pub coverage_min_pct: f64,
    /// Mean spread of the proxy over the window, at most.
    pub spread_max_bps: f64,
    /// Aggressor skew in the setup's direction over the window, at least.
    pub skew_min: f64,
    /// The proxy's window of microstructure.
    pub micro_window_secs: u32,
    /// Clean data needed after a feed gap.
    pub rearm_secs: u32,
    /// Entries not before this many minutes after the open.
    pub entry_from_minutes: u32,
    /// Entries until this many minutes after the open ...
    pub entry_until_minutes: u32,
    /// ... and never later than this many minutes before the close.
    pub entry_stop_before_close_minutes: u32,
    /// A ready setup waits this long for its trigger.
    pub ready_minutes: u32,
    /// Without T1 a triggered setup ends after this.
    pub hold_max_minutes: u32,
    /// Live setups end this many minutes before the close.
    pub session_end_minutes: u32,
    /// Part of R by which the break-even stop lies beyond the trigger's price. It stands in for the spread and the fees
    /// of a round trip, which the index does not know; each account's own break-even follows from its fills.
    pub break_even_r: f64,
    /// Bars of 1 min on both sides that confirm a pivot.
    pub pivot_bars: u32,
    /// The trail's distance behind a pivot.
    pub trail_buffer_atr: f64,
    /// Setups triggered and not ended at once, per direction.
    pub live_cap_per_direction: u32,
    /// Setups triggered in a session, per direction: the larger of 2 and 40 % of entries, and with one family that is 2.
    pub session_cap_per_direction: u32,
    /// Setups formed in a session. The bound of the detector's memory.
    pub formed_cap: u32,
    /// Macro alignment, at least, for a trigger; `None` where the profile does not apply the floor. `orb-v1` does not:
    /// it records the gate as skipped with `macro_inputs_missing`. With a floor, missing inputs block.
    pub macro_floor: Option<f64>,
    /// The families beside `orb_breakout`, with the context they read and who of all families may trade; `None` where the
    /// profile knows the breakout alone, which then trades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub families: Option<Families>,
}

/// Every profile whose setups this build trades.
pub const KNOWN: [&str; 2] = ["orb-v1", "setups-v1"];

impl Profile {
    /// The first profile of the `orb_breakout` family.
    pub fn orb_v1() -> Self {
        Self {
            version: "orb-v1".to_owned(),
            range_minutes: 15,
            range_delay_secs: 60,
            agreement_points: 3.0,
            range_width_min_atr: 1.5,
            approach_atr: 1.0,
            break_buffer_atr: 0.1,
            break_hold_secs: 5,
            zone_atr: 1.0,
            stop_range_part: 0.75,
            r_min_atr: 3.0,
            r_max_atr: 8.0,
            invalid_r: 0.25,
            missed_r: 0.25,
            departure_atr: 2.0,
            turn_atr: 0.25,
            coverage_min_pct: 60.0,
            spread_max_bps: 3.0,
            skew_min: 0.0,
            micro_window_secs: 60,
            rearm_secs: 10,
            entry_from_minutes: 5,
            entry_until_minutes: 330,
            entry_stop_before_close_minutes: 20,
            ready_minutes: 30,
            hold_max_minutes: 45,
            session_end_minutes: 15,
            break_even_r: 0.05,
            pivot_bars: 3,
            trail_buffer_atr: 0.5,
            live_cap_per_direction: 1,
            session_cap_per_direction: 2,
            formed_cap: 64,
            macro_floor: None,
            families: None,
        }
    }

    /// The first profile with every family. The breakout trades once its own figures hold; the others are on trial.
    pub fn setups_v1() -> Self {
        Self {
            version: "setups-v1".to_owned(),
            macro_floor: Some(40.0),
            families: Some(Families::v1()),
            ..Self::orb_v1()
        }
    }

    /// The profile of a version that this build carries.
    pub fn named(version: &str) -> Option<Self> {
        [Self::orb_v1(), Self::setups_v1()].into_iter().find(|it| it.version == version)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::orb_v1()
    }
}
