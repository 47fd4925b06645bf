//! The routes of `control`.

use domain::ids::UserId;
use domain::kill::{KillRow, KillScope, KillState, Reading};
use domain::market::Points;
use domain::ports::{Clock, Ledger};
use engine::trips::Reach;
use lambda_kit::http::{Answer, Call, Caller, Problem, Role};
use serde::Deserialize;

use crate::Control;

const ROUTES: [(&str, &str); 7] = [
    ("PUT", "/v1/kill-switch"),
    ("POST", "/v1/flatten"),
    ("POST", "/v1/positions/take-over"),
    ("POST", "/v1/positions/mine-now"),
    ("POST", "/v1/messages/{id}/read"),
    ("PUT", "/v1/consent"),
    ("POST", "/v1/kill-switch/readings"),
];
/// The longest reason kept.
const REASON_MAX: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FlipBody {
    scope: String,
    state: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FlattenBody {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadingBody {
    vix: Option<f64>,
    vix3m: Option<f64>,
    index: Option<f64>,
    macro_window: Option<bool>,
    regime_failed: Option<bool>,
}

impl<L: Ledger, C: Clock> Control<'_, L, C> {
    /// Answers a call.
    ///
    /// # Errors
    /// [`Problem`]; the switch then stands where it stood.
    pub async fn call(&self, call: &Call) -> Result<Answer, Problem> {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("PUT", ["v1", "kill-switch"]) => self.put_switch(call).await,
            ("POST", ["v1", "flatten"]) => self.post_flatten(call).await,
            ("POST", ["v1", "positions", "take-over"]) => self.post_take_over(call).await,
            ("POST", ["v1", "positions", "mine-now"]) => self.post_mine_now(call).await,
            ("POST", ["v1", "messages", id, "read"]) => self.post_read(call, id).await,
            ("POST", ["v1", "kill-switch", "readings"]) => self.post_reading(call).await,
            ("PUT", ["v1", "consent"]) => self.put_consent(call).await,
            _ => Err(Problem::no_route(call, &ROUTES)),
        }
    }

    async fn put_switch(&self, call: &Call) -> Result<Answer, Problem> {
        let caller = call.caller()?;
        let body: FlipBody = call.read()?;
        let scope = KillScope::parse(&body.scope).ok_or_else(|| {
            let detail = "scope is global, user:<uuid>, strategy:<name>, symbol:<symbol> or broker:<name>";
            Problem::invalid("scope", detail)
        })?;
        let state = KillState::parse(&body.state).ok_or_else(|| {
            Problem::invalid("state", "state is normal, no_entries, safe_mode or hard_stop")
        })?;
        let reason = body.reason.trim();
        if reason.is_empty() || reason.len() > REASON_MAX {
            let detail = format!("reason says why in 1 to {REASON_MAX} bytes: it is kept in the audit");
            return Err(Problem::invalid("reason", &detail));
        }
        if caller.role != Role::Operator {
            self.member_may(&caller, &scope, state).await?;
        }
        let row = self.flip(scope, state, &by(&caller), reason).await?;
        Answer::ok(&shown(&row))
    }

    /// A member tightens their own switch short of a hard stop. What stops everything and what lets go again are the
    /// operator's: a member must not lift what their daily loss tripped.
    async fn member_may(&self, caller: &Caller, scope: &KillScope, state: KillState) -> Result<(), Problem> {
        if *scope != KillScope::User(caller.user) {
            let detail = format!("the switch of {scope} is the operator's; yours is user:{}", caller.user);
            return Err(Problem::forbidden(&detail));
        }
        let rows = self.ledger.kill_switch().await?;
        let stands = rows.iter().find(|it| it.scope == *scope).map_or(KillState::Normal, |it| it.state);
        if state == KillState::HardStop || state < stands {
            let detail = format!(
                "your switch is {}: you may tighten it up to safe_mode, a hard stop and letting go are the operator's",
                stands.as_str()
            );
            return Err(Problem::forbidden(&detail));
        }
        Ok(())
    }

    /// A reading for the automatic trips, taken now.
    async fn post_reading(&self, call: &Call) -> Result<Answer, Problem> {
        if call.caller()?.role != Role::Operator {
            return Err(Problem::forbidden("readings are posted by the operator's own job"));
        }
        let body: ReadingBody = call.read()?;
        let positive = |it: Option<f64>| it.is_none_or(|it| it.is_finite() && it > 0.0);
        if !positive(body.vix) || !positive(body.vix3m) || !positive(body.index) {
            return Err(Problem::invalid("vix", "vix, vix3m and index are index values over 0"));
        }
        let reading = Reading {
            at: self.clock.now(),
            vix: body.vix,
            index: body.index.map(Points::from_f64),
            vix_ratio: body.vix.zip(body.vix3m).map(|(vix, vix3m)| vix / vix3m),
            macro_window: body.macro_window,
            regime_failed: body.regime_failed,
        };
        let observed = self.observe(&reading, &Reach::default()).await?;
        let flipped: Vec<_> = observed.flipped.iter().map(shown).collect();
        Answer::ok(&serde_json::json!({ "flipped": flipped, "emergencyExits": observed.emergency_exits }))
    }

    async fn post_flatten(&self, call: &Call) -> Result<Answer, Problem> {
        let caller = call.caller()?;
        let body: FlattenBody = call.read()?;
        let user = match body.user.as_deref() {
            Some(text) => {
                let user = text.parse().map_err(|_| Problem::invalid("user", "user is a UUID"))?;
                Some(user)
            }
            None => None,
        };
        let of: Option<UserId> = match (body.all, user) {
            (true, Some(_)) => return Err(Problem::invalid("user", "say all or user, not both")),
            (true, None) => None,
            (false, user) => Some(user.unwrap_or(caller.user)),
        };
        if of != Some(caller.user) && caller.role != Role::Operator {
            return Err(Problem::forbidden(
                "accounts of others are the operator's; an empty body flattens your own",
            ));
        }
        let started = self.flatten(of).await?;
        let accounts: Vec<_> = started.iter().map(|it| it.account).collect();
        Answer::with(202, &serde_json::json!({ "started": accounts }))
    }
}

fn by(caller: &Caller) -> String {
    let role = match caller.role {
        Role::Member => "member",
        Role::Coach => "coach",
        Role::Operator => "operator",
    };
    format!("{role}:{}", caller.user)
}

fn shown(row: &KillRow) -> serde_json::Value {
    serde_json::json!({
        "scope": row.scope.to_string(),
        "state": row.state.as_str(),
        "version": row.version,
        "flippedAt": row.flipped_at.to_string(),
        "by": row.by,
        "reason": row.reason,
    })
}

#[cfg(test)]
mod tests;
