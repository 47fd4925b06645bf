//! What the environment asks of the ingester.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use domain::account::Switches;
use domain::market::MarketSource;
use engine::profile::{KNOWN, Profile};
use ingester::sources::open_recorded;
use jiff::civil::Date;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use sim::market::{GeneratedSession, SessionSpec, default_date};

/// Where the market comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `generated:SEED` or `generated:SEED:DATE`.
    Generated {
        /// Everything random comes from it.
        seed: u64,
        /// The New York date.
        date: Date,
    },
    /// `recorded:DIR:DATE`.
    Recorded {
        /// Where the files lie.
        dir: PathBuf,
        /// The New York date.
        date: Date,
    },
}

impl Source {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let fail = || {
            anyhow!(
                "CLAXTON_SOURCE={text:?}: expected generated:SEED, generated:SEED:2026-11-20 or recorded:DIR:2013-10-07"
            )
        };
        let date = |it: &str| it.parse::<Date>().map_err(|_| fail());
        let (kind, rest) = text.split_once(':').ok_or_else(fail)?;
        match (kind, rest.rsplit_once(':')) {
            ("generated", None) => {
                let seed = rest.parse().map_err(|_| fail())?;
                Ok(Self::Generated { seed, date: default_date(seed) })
            }
            ("generated", Some((seed, day))) => {
                Ok(Self::Generated { seed: seed.parse().map_err(|_| fail())?, date: date(day)? })
            }
            ("recorded", Some((dir, day))) if !dir.is_empty() => {
                Ok(Self::Recorded { dir: dir.into(), date: date(day)? })
            }
            _ => Err(fail()),
        }
    }

    pub(crate) fn open(&self) -> anyhow::Result<Box<dyn MarketSource>> {
        Ok(match self {
            Self::Generated { seed, date } => {
                Box::new(GeneratedSession::new(&SessionSpec { seed: *seed, date: *date, shape: None })?)
            }
            Self::Recorded { dir, date } => open_recorded(dir, *date)?,
        })
    }
}

/// Everything the environment says, but for AWS, which its own client reads.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The ledger.
    pub(crate) database_url: String,
    /// The market.
    pub(crate) source: Source,
    /// Market time.
    pub(crate) clock: SystemClock,
    /// The deployment's switches.
    pub(crate) switches: Switches,
    /// Another broker host.
    pub(crate) broker_base: Option<String>,
    /// Whether quotes feed the bars.
    pub(crate) quotes: bool,
    /// The thresholds of the detectors.
    pub(crate) profile: Profile,
    /// End with standard input.
    pub(crate) lifeline: bool,
}

impl Settings {
    pub(crate) fn of(env: &Env) -> anyhow::Result<Self> {
        // The first name is the better one; either turns quotes off, and only by the literal.
        let off = |name| env.get(name).is_some_and(|it| it.trim().eq_ignore_ascii_case("false"));
        Ok(Self {
            database_url: env.required("DATABASE_URL")?.to_owned(),
            source: Source::parse(env.required("CLAXTON_SOURCE")?).context("no market")?,
            clock: SystemClock::from_env(env)?,
            switches: env.switches()?,
            broker_base: env.get("TRADIER_BASE_URL").map(str::to_owned),
            quotes: !off("MICROSTRUCTURE_QUOTES_ENABLED") && !off("ENABLE_L2_MICROSTRUCTURE"),
            profile: profile(env.get("CLAXTON_PROFILE"))?,
            lifeline: env.get("CLAXTON_LIFELINE").is_some_and(|it| it.trim() == "stdin"),
        })
    }
}

/// The profile of a version; the first one where none is named.
fn profile(version: Option<&str>) -> anyhow::Result<Profile> {
    let Some(version) = version.map(str::trim).filter(|it| !it.is_empty()) else {
        return Ok(Profile::default());
    };
    Profile::named(version).ok_or_else(|| {
        anyhow!("CLAXTON_PROFILE={version:?}: no such profile; this build carries {}", KNOWN.join(" and "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn settings(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let known = [("DATABASE_URL", "postgres://localhost/x"), ("CLAXTON_SOURCE", "generated:7")];
        let all = known.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Settings::of(&Env::of(all))
    }

    #[test]
    fn a_source_is_a_seed_or_a_recorded_day() {
        assert_eq!(
            Source::parse("generated:7").unwrap(),
            Source::Generated { seed: 7, date: default_date(7) }
        );
        let day = date(2026, 11, 27);
        assert_eq!(
            Source::parse("generated:7:2026-11-27").unwrap(),
            Source::Generated { seed: 7, date: day }
        );
        let day = date(2013, 10, 7);
        assert_eq!(
            Source::parse("recorded:/a:b/c:2013-10-07").unwrap(),
            Source::Recorded { dir: "/a:b/c".into(), date: day }
        );
        for text in
            ["", "7", "generated:", "generated:x", "generated:7:x", "recorded:dir", "recorded::2013-10-07"]
        {
            let error = Source::parse(text).unwrap_err().to_string();
            assert!(error.contains("expected generated:SEED"), "{text}: {error}");
        }
    }

    #[test]
    fn quotes_are_off_only_by_the_literal_under_either_name() {
        for name in ["MICROSTRUCTURE_QUOTES_ENABLED", "ENABLE_L2_MICROSTRUCTURE"] {
            assert!(!settings(&[(name, "false")]).unwrap().quotes, "{name}");
            assert!(settings(&[(name, "off")]).unwrap().quotes, "{name}");
        }
        assert!(settings(&[]).unwrap().quotes);
    }

    #[test]
    fn the_profile_is_the_first_one_unless_another_is_named() {
        assert_eq!(settings(&[]).unwrap().profile.version, "orb-v1");
        assert_eq!(settings(&[("CLAXTON_PROFILE", "setups-v1")]).unwrap().profile, Profile::setups_v1());
        let error = settings(&[("CLAXTON_PROFILE", "best-v9")]).unwrap_err().to_string();
        assert!(error.contains("orb-v1 and setups-v1"), "{error}");
    }

    #[test]
    fn what_is_missing_or_mistyped_is_named() {
        let error = Settings::of(&Env::of([])).unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL"), "{error}");
        let error = settings(&[("TRADIER_SANDBOKS", "false")]).unwrap_err().to_string();
        assert!(error.contains("TRADIER_SANDBOX"), "{error}");
    }
}
