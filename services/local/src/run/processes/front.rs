//! The API of a run in processes: the gateway's part, each function asked over the runtime API.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue};
use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use bytes::Bytes;
use domain::market::SourceProfile;
use domain::ports::Clock as _;
use domain::time::UtcNanos;
use lambda_kit::clock::SystemClock;
use lambda_kit::http::Problem;
use serde_json::Value;

use super::books::Books;
use crate::run::http;
use crate::run::turn::Seen;
use crate::runtime_api::{Function, InvokeError};

/// How long a function of the API may take: as in `infra/template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The functions behind the API's port.
pub(super) struct InProcesses<'a> {
    pub(super) functions: BTreeMap<&'static str, Rc<Function>>,
    pub(super) books: &'a Books,
    pub(super) seen: &'a RefCell<Seen>,
    /// The session the run stands in.
    pub(super) profile: &'a RefCell<SourceProfile>,
    pub(super) clock: SystemClock,
}

impl http::Functions for InProcesses<'_> {
    fn now(&self) -> UtcNanos {
        self.clock.now()
    }

    async fn day(&self) -> Value {
        let profile = self.profile.borrow().clone();
        let standing = self.books.standing(&profile).await;
        let mut seen = self.seen.borrow_mut();
        seen.counts.microbars = standing.microbars;
        seen.counts.transitions = standing.transitions;
        seen.counts.messages = standing.messages;
        seen.shown(self.clock.now(), 1.0, |series| standing.traded.contains(&series.to_string()))
    }

    async fn call(
        &self,
        function: http::Function,
        event: &ApiGatewayV2httpRequest,
    ) -> ApiGatewayV2httpResponse {
        let asked = async {
            let function = self.functions.get(function.name()).ok_or_else(|| "it does not run".to_owned())?;
            let payload = serde_json::to_vec(event).map_err(|it| it.to_string())?;
            let answer = function.invoke(Bytes::from(payload), TIMEOUT).await;
            let answer = answer.map_err(|it: InvokeError| it.to_string())?;
            serde_json::from_slice(&answer).map_err(|it| it.to_string())
        };
        asked.await.unwrap_or_else(|why: String| {
            tracing::error!(function = function.name(), "no answer: {why}");
            failed(function)
        })
    }
}

/// What the gateway says of a function that failed.
fn failed(function: http::Function) -> ApiGatewayV2httpResponse {
    let detail = format!("the function {} failed: its log says why", function.name());
    let problem = Problem::new(502, "bad-gateway", "Bad gateway", &detail);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = i64::from(problem.status);
    answer.headers = headers;
    answer.body = Some(Body::Text(body));
    answer
}
