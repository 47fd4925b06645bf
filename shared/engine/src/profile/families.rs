//! Thresholds of the families beside `orb_breakout`, and of the context that only they read.
//!
//! Distances named `_atr` are multiples of ATR(14) on 1 min, those named `_r` multiples of the setup's `r_index`.

use domain::setup::{FamilyStatus, SetupKind};
use serde::{Deserialize, Serialize};

/// Everything but the breakout's own thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Families {
    /// Of the context.
    pub context: ContextRules,
    /// Who may trade.
    pub governance: Governance,
    /// At most this part of a session's entries for one family and direction, where that is more than the cap per direction.
    pub session_share: f64,
    /// The first target lies at most this part of the straddle-implied move away; `None` where the profile does not ask.
    pub t1_of_implied_move_max: Option<f64>,
    /// `level_test`.
    pub level_test: LevelTest,
    /// `vwap`.
    pub vwap: VwapRules,
    /// `volume_climax`.
    pub volume_climax: VolumeClimax,
    /// `gamma_squeeze`.
    pub gamma_squeeze: GammaSqueeze,
    /// `trend_pullback`.
    pub trend_pullback: TrendPullback,
    /// `mean_reversion`.
    pub mean_reversion: MeanReversion,
}

/// Where a family's setups enter, are wrong and are over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// Height of the entry zone, from the anchor in the direction.
    pub zone_atr: f64,
    /// R.
    pub r_atr: f64,
    /// A close this far behind the anchor breaks the idea.
    pub invalid_r: f64,
    /// A close this far beyond the zone without an entry misses the setup.
    pub missed_r: f64,
    /// The trigger is a close this far off the extreme against the direction.
    pub turn_atr: f64,
    /// A ready setup waits this long for its trigger.
    pub ready_minutes: u32,
}

/// Thresholds of `level_test`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelTest {
    /// Zone, R, invalidation.
    pub shape: Shape,
    /// A weaker cluster is no level.
    pub strength_min: f64,
    /// Armed once price was this far from the cluster ...
    pub departure_atr: f64,
    /// ... a setup forms when it comes this near.
    pub approach_atr: f64,
    /// Size imbalance in the direction, at least.
    pub imbalance_min: f64,
    /// Ask over bid size at most this for a long, at least its inverse for a short.
    pub size_ratio_max: f64,
}

/// Thresholds of `vwap`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VwapRules {
    /// Zone, R, invalidation.
    pub shape: Shape,
    /// The bands mean something once one deviation is this wide.
    pub sigma_min_atr: f64,
    /// A reclaim or loss is armed once price was this many deviations on the other side ...
    pub away_sigma: f64,
    /// ... and forms when it comes this near.
    pub approach_atr: f64,
    /// A close this far beyond VWAP is the cross ...
    pub buffer_atr: f64,
    /// ... which must hold this long.
    pub hold_secs: u32,
    /// The band that is faded.
    pub fade_sigma: i64,
}

/// Thresholds of `volume_climax`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClimax {
    /// Zone, R, invalidation.
    pub shape: Shape,
    /// Minutes the climax is compared with.
    pub lookback_minutes: u32,
    /// Its volume over their mean, at least.
    pub volume_times: f64,
    /// Its range, at least.
    pub range_atr: f64,
    /// A later minute with at most this part of its volume and no new extreme is the exhaustion.
    pub exhausted_volume_part: f64,
    /// Ask over bid size: over this fades a rise, under its fellow fades a fall.
    pub size_ratio_high: f64,
    /// See `size_ratio_high`.
    pub size_ratio_low: f64,
    /// The spread is normal again at this many times its mean before the climax.
    pub spread_times: f64,
}

/// Thresholds of `gamma_squeeze`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GammaSqueeze {
    /// Zone, R, invalidation.
    pub shape: Shape,
    /// Strikes ahead of spot at which dealers must be short of gamma.
    pub strikes_ahead: u32,
    /// Forms when the next strike is this near.
    pub approach_atr: f64,
    /// A close this far beyond the strike is the break ...
    pub buffer_atr: f64,
    /// ... which must hold this long.
    pub hold_secs: u32,
    /// Flow of options in the direction over the window, at least.
    pub flow_min: f64,
    /// And at least this part of what it was in the window before: not fading.
    pub flow_kept_part: f64,
}

/// Thresholds of `trend_pullback`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrendPullback {
    /// Zone, R, invalidation.
    pub shape: Shape,
    /// Forms once price is this far beyond VWAP in the direction of the trend.
    pub impulse_atr: f64,
    /// Ready once it came back this far from its extreme.
    pub depth_atr: f64,
}

/// Thresholds of `mean_reversion`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeanReversion {
    /// Zone, R, invalidation.
    pub shape: Shape,
    /// The bands mean something once one deviation is this wide.
    pub sigma_min_atr: f64,
    /// The band that is faded.
    pub band_sigma: i64,
}

/// Thresholds of the context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextRules {
    /// Levels within this many points merge.
    pub cluster_points: f64,
    /// Between two round numbers.
    pub round_step_points: i64,
    /// Of levels and clusters.
    pub strengths: Strengths,
    /// Of the regime.
    pub regime: RegimeRules,
    /// The ratio of index and proxy is the median over this long ...
    pub basis_window_minutes: u32,
    /// ... with at least so many seconds.
    pub basis_samples_min: u32,
    /// A z-score of this size counts in full for the alignment.
    pub basis_full_z: f64,
    /// Options flow is summed over this long.
    pub flow_window_minutes: u32,
    /// Weights of the alignment.
    pub weights: Weights,
    /// The last seconds of the proxy that "turning" compares with its window.
    pub turn_window_secs: u32,
}

/// What a level adds to its cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strengths {
    /// High and low of the session before.
    pub prior_extreme: f64,
    /// Its close.
    pub prior_close: f64,
    /// High and low of the opening range.
    pub opening_range: f64,
    /// VWAP.
    pub vwap: f64,
    /// Round numbers.
    pub round: f64,
    /// Round numbers of a hundred.
    pub hundred: f64,
    /// Walls of gamma.
    pub gamma_wall: f64,
    /// Where gamma changes its sign.
    pub gamma_flip: f64,
    /// High and low of the night.
    pub overnight: f64,
}

/// Where one regime ends and the next begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegimeRules {
    /// Compression: ATR over its median, at most ...
    pub compression_atr: f64,
    /// ... and the 15-minute range over its median.
    pub compression_range: f64,
    /// Breakout: ATR over its median, at least ...
    pub breakout_atr: f64,
    /// ... and the 15-minute range over its median.
    pub breakout_range: f64,
    /// Trend: the move of VWAP in 15 minutes, in ATR.
    pub trend_slope: f64,
}

/// Weights of the macro alignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Weights {
    /// Of the regime.
    pub regime: f64,
    /// Of the basis.
    pub basis: f64,
    /// Of options flow.
    pub flow: f64,
}

/// How a family comes to its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its rolling figures decide.
    Governed,
    /// It is what the profile says.
    Fixed(FamilyStatus),
}

/// Who may trade, and which figures a family must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Governance {
    /// Each family's standing; one that is not named is on trial.
    pub standings: Vec<(SetupKind, Standing)>,
    /// Resolved setups the figures roll over.
    pub window: u32,
    /// Fewer say nothing: the family stays out.
    pub sample_min: u32,
    /// Part that reached T1, at least.
    pub t1_rate_min: f64,
    /// Mean of money R, at least.
    pub expectancy_min: f64,
}

impl Governance {
    /// The standing of a family.
    pub fn standing(&self, kind: SetupKind) -> Standing {
        let named = self.standings.iter().find(|it| it.0 == kind);
        named.map_or(Standing::Fixed(FamilyStatus::Shadow), |it| it.1)
    }
}

impl Families {
    /// Every family on trial, and the breakout under the rule of its own figures.
    pub fn v1() -> Self {
        let shape = |zone_atr, r_atr, turn_atr| Shape {
            zone_atr,
            r_atr,
            invalid_r: 0.35,
            missed_r: 0.25,
            turn_atr,
            ready_minutes: 20,
        };
        Self {
            context: ContextRules::v1(),
            governance: Governance {
                standings: vec![(SetupKind::OrbBreakout, Standing::Governed)],
                window: 60,
                sample_min: 20,
                t1_rate_min: 0.45,
                expectancy_min: 0.0,
            },
            session_share: 0.4,
            t1_of_implied_move_max: Some(1.0),
            level_test: LevelTest {
                shape: shape(1.0, 3.0, 0.25),
                strength_min: 1.5,
                departure_atr: 2.0,
                approach_atr: 1.0,
                imbalance_min: 0.05,
                size_ratio_max: 1.0,
            },
            vwap: VwapRules {
                shape: shape(1.0, 3.0, 0.25),
                sigma_min_atr: 1.0,
                away_sigma: 1.0,
                approach_atr: 0.5,
                buffer_atr: 0.15,
                hold_secs: 10,
                fade_sigma: 2,
            },
            volume_climax: VolumeClimax {
                shape: shape(1.5, 2.5, 0.25),
                lookback_minutes: 20,
                volume_times: 2.5,
                range_atr: 2.0,
                exhausted_volume_part: 0.7,
                size_ratio_high: 3.0,
                size_ratio_low: 0.33,
                spread_times: 1.5,
            },
            gamma_squeeze: GammaSqueeze {
                shape: shape(1.0, 3.0, 0.0),
                strikes_ahead: 2,
                approach_atr: 1.0,
                buffer_atr: 0.1,
                hold_secs: 5,
                flow_min: 0.1,
                flow_kept_part: 0.8,
            },
            trend_pullback: TrendPullback { shape: shape(1.5, 3.0, 0.25), impulse_atr: 3.0, depth_atr: 1.5 },
            mean_reversion: MeanReversion { shape: shape(1.0, 3.0, 0.25), sigma_min_atr: 1.0, band_sigma: 2 },
        }
    }
}

impl ContextRules {
    fn v1() -> Self {
        Self {
            cluster_points: 3.0,
            round_step_points: 25,
            strengths: Strengths {
                prior_extreme: 1.0,
                prior_close: 0.8,
                opening_range: 1.0,
                vwap: 0.7,
                round: 0.5,
                hundred: 1.0,
                gamma_wall: 1.0,
                gamma_flip: 0.8,
                overnight: 0.8,
            },
            regime: RegimeRules {
                compression_atr: 0.7,
                compression_range: 0.6,
                breakout_atr: 1.3,
                breakout_range: 1.6,
                trend_slope: 1.0,
            },
            basis_window_minutes: 30,
            basis_samples_min: 60,
            basis_full_z: 2.0,
            flow_window_minutes: 15,
            weights: Weights { regime: 0.5, basis: 0.2, flow: 0.3 },
            turn_window_secs: 15,
        }
    }
}
