//! Market time in a function: the system's clock, shifted for local runs of another day.

use domain::ports::Clock;
use domain::time::UtcNanos;

/// The variable that shifts a local process's clock, in nanoseconds.
pub const OFFSET_VARIABLE: &str = "CLAXTON_CLOCK_OFFSET_NS";

/// The system's clock plus an offset. In the cloud the offset is zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock {
    offset_ns: i64,
}

impl SystemClock {
    /// The system's clock, `offset_ns` later.
    pub const fn shifted(offset_ns: i64) -> Self {
        Self { offset_ns }
    }

    /// The clock an environment asks for.
    ///
    /// # Errors
    /// Says which variable is not a number.
    pub fn from_env(env: &crate::env::Env) -> Result<Self, crate::env::EnvError> {
        Ok(Self::shifted(env.number(OFFSET_VARIABLE)?.unwrap_or(0)))
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock of the functions")]
    fn now(&self) -> UtcNanos {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let nanos = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        UtcNanos(nanos.saturating_add(self.offset_ns))
    }
}
