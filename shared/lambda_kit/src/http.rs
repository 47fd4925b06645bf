//! HTTP through API Gateway: an event becomes a [`Call`], an outcome an [`Answer`] or a [`Problem`].
//!
//! Who calls is what the gateway's JWT authorizer says, never what the request says of itself. Errors are problem details
//! (RFC 9457) that name the field and the cure. A body is read as the one shape a route takes: unknown fields are refused.

use std::collections::BTreeMap;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use domain::ids::UserId;
use domain::ports::{HandleError, LedgerError};
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The largest body read.
pub const BODY_MAX: usize = 256 * 1024;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees and decides for themself.
    Member,
    /// Sees their members; decides for themself.
    Coach,
    /// Decides for all.
    Operator,
}

impl Role {
    /// Reads a claim; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "member" => Some(Self::Member),
            "coach" => Some(Self::Coach),
            "operator" => Some(Self::Operator),
            _ => None,
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The subject of the token.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
}

/// A request.
#[derive(Clone)]
pub struct Call {
    /// `GET`, `PUT` ...
    pub method: String,
    /// The path's parts, without a stage in front: `["v1", "setups", "abc"]`.
    pub path: Vec<String>,
    /// The query; of a repeated key the first value.
    pub query: BTreeMap<String, String>,
    /// The body as text; `None` when there is none.
    pub body: Option<String>,
    /// Who calls; `None` without an authorized token.
    pub caller: Option<Caller>,
}

/// Not its body: it may hold a token.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} /{}", self.method, self.path.join("/"))
    }
}

/// An outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// A reference that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// The field it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::with(200, body)
    }

    /// Another status with a body.
    pub fn with(status: u16, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_value(body);
        let body = body.map_err(|it| Problem::new(500, "broken", "Broken", &it.to_string()))?;
        Ok(Self { status, body })
    }
}

impl Problem {
    /// A problem of a kind.
    pub fn new(status: u16, kind: &str, title: &str, detail: &str) -> Self {
        let kind = format!("/problems/{kind}");
        Self { kind, title: title.to_owned(), status, detail: detail.to_owned(), field: None }
    }

    /// 400: a field that cannot be read, and what was expected.
    pub fn invalid(field: &str, detail: &str) -> Self {
        let it = Self::new(400, "invalid-field", "A field cannot be read", detail);
        Self { field: Some(field.to_owned()), ..it }
    }

    /// 401: nobody we know.
    pub fn nobody() -> Self {
        Self::new(
            401,
            "not-signed-in",
            "Not signed in",
            "send Authorization: Bearer with a token of the issuer",
        )
    }

    /// 403: somebody else may.
    pub fn forbidden(detail: &str) -> Self {
        Self::new(403, "not-allowed", "Not allowed", detail)
    }

    /// 404: it is not there.
    pub fn not_found(detail: &str) -> Self {
        Self::new(404, "not-found", "Not found", detail)
    }

    /// 409: not as things stand.
    pub fn conflict(detail: &str) -> Self {
        Self::new(409, "conflict", "Not as things stand", detail)
    }

    /// 405 when the path knows other methods, else 404.
    pub fn no_route(call: &Call, known: &[(&str, &str)]) -> Self {
        let path = format!("/{}", call.path.join("/"));
        let is_path = |pattern: &str| {
            let parts: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
            let same = |(want, have): (&&str, &String)| want.starts_with('{') || *want == have;
            parts.len() == call.path.len() && parts.iter().zip(&call.path).all(same)
        };
        let methods: Vec<&str> = known.iter().filter(|it| is_path(it.1)).map(|it| it.0).collect();
        if methods.is_empty() {
            let paths: Vec<String> = known.iter().map(|(method, path)| format!("{method} {path}")).collect();
            return Self::not_found(&format!("no {path} here; there is {}", paths.join(", ")));
        }
        let detail = format!("{path} does not take {}; it takes {}", call.method, methods.join(", "));
        Self::new(405, "method-not-allowed", "Method not allowed", &detail)
    }
}

impl From<HandleError> for Problem {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Again(why) => {
                tracing::warn!(why, "a request was not worked this time: {why}");
                Self::new(503, "unavailable", "Unavailable", "a part of the system did not answer: try again")
            }
            HandleError::Poison(why) => Self::new(422, "cannot-be-done", "Cannot be done", &why),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Self::from(HandleError::from(error))
    }
}

impl Call {
    /// What the gateway handed over.
    ///
    /// # Errors
    /// [`Problem`] for a body that is too large or not text.
    pub fn of(event: &ApiGatewayV2httpRequest) -> Result<Self, Problem> {
        let context = &event.request_context;
        let raw = event.raw_path.as_deref().or(context.http.path.as_deref()).unwrap_or("/");
        let mut path: Vec<String> = raw.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        // A named stage stands in front of the path, `$default` does not.
        if path.first().is_some_and(|it| Some(it.as_str()) == context.stage.as_deref()) {
            path.remove(0);
        }
        let mut query = BTreeMap::new();
        for (key, value) in event.query_string_parameters.iter() {
            query.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        let claims = context.authorizer.as_ref().and_then(|it| it.jwt.as_ref()).map(|it| &it.claims);
        let caller = claims.and_then(|it| caller(|name| it.get(name).map(String::as_str)));
        let body = event.body.as_deref().map(|it| text(it, event.is_base64_encoded)).transpose()?;
        Ok(Self { method: context.http.method.as_str().to_owned(), path, query, body, caller })
    }

    /// Who calls.
    ///
    /// # Errors
    /// 401 when nobody was authorized.
    pub fn caller(&self) -> Result<Caller, Problem> {
        self.caller.ok_or_else(Problem::nobody)
    }

    /// Method and path, to be matched.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (self.method.as_str(), self.path.iter().map(String::as_str).collect())
    }

    /// A query parameter, read by its type.
    ///
    /// # Errors
    /// 400 that names the parameter and quotes what was expected.
    pub fn parameter<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let Some(value) = self.query.get(name) else { return Ok(None) };
        let wrong = || Problem::invalid(name, &format!("{name} is {expected}"));
        value.parse().map(Some).map_err(|_| wrong())
    }

    /// The body as JSON of one shape; an absent body is an empty object. `T` refuses unknown fields.
    ///
    /// # Errors
    /// 400 with line and column and the field it is about.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.parse(|error| error.to_string())
    }

    /// The same for bodies that hold a secret: the error repeats nothing of them.
    ///
    /// # Errors
    /// 400 with line and column, and the field only where it is missing.
    pub fn read_secret<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.parse(|error| {
            let text = error.to_string();
            let place = format!("at line {} column {}", error.line(), error.column());
            match text.split_once('`').filter(|it| it.0 == "missing field ") {
                Some((_, rest)) => {
                    format!("missing field `{}` {place}", rest.split('`').next().unwrap_or(""))
                }
                None => format!("the body is not what this route takes, {place}"),
            }
        })
    }

    fn parse<T: DeserializeOwned>(&self, words: impl Fn(&serde_json::Error) -> String) -> Result<T, Problem> {
        let body = self.body.as_deref().filter(|it| !it.trim().is_empty()).unwrap_or("{}");
        serde_json::from_str(body).map_err(|error| {
            let words = words(&error);
            // "missing field `x`" and "unknown field `x`" name it.
            let named = words.contains("field `").then(|| words.split('`').nth(1)).flatten();
            let problem = Problem::new(400, "invalid-body", "The body cannot be read", &words);
            Problem { field: named.map(str::to_owned), ..problem }
        })
    }
}

/// Answers an event: reads the call, hands it to `route`, and puts the outcome into the gateway's form. A problem is an
/// answer too; the invocation itself does not fail.
pub async fn respond(
    event: &ApiGatewayV2httpRequest,
    route: impl AsyncFnOnce(&Call) -> Result<Answer, Problem>,
) -> ApiGatewayV2httpResponse {
    let outcome = match Call::of(event) {
        Ok(call) => route(&call).await,
        Err(problem) => Err(problem),
    };
    let (status, kind, body) = match outcome {
        Ok(answer) => (answer.status, "application/json", answer.body.to_string()),
        Err(problem) => {
            // Plain data with text keys: there is nothing in it that JSON cannot say.
            let body = serde_json::to_string(&problem).unwrap_or_default();
            (problem.status, "application/problem+json", body)
        }
    };
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(status);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.body = Some(Body::Text(body));
    response
}

/// The caller by their claims: `sub`, and the role from `role` or, where that is the issuer's own, `app_metadata.role`.
fn caller<'a>(claim: impl Fn(&str) -> Option<&'a str>) -> Option<Caller> {
    let user = claim("sub")?.parse().ok()?;
    let nested = || claim("app_metadata").and_then(nested_role);
    let role = claim("role").and_then(Role::parse);
    let role = role.or_else(|| claim("app_metadata.role").and_then(Role::parse)).or_else(nested);
    Some(Caller { user, role: role.unwrap_or(Role::Member) })
}

/// The role inside a nested claim: as JSON, or as the gateway flattens a map, `map[provider:email role:operator]`.
fn nested_role(text: &str) -> Option<Role> {
    if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
        return fields.get("role").and_then(Value::as_str).and_then(Role::parse);
    }
    let inside = text.strip_prefix("map[")?.strip_suffix(']')?;
    // A map in the map would let a value pose as our field.
    if inside.contains('[') {
        return None;
    }
    inside.split(' ').find_map(|it| it.strip_prefix("role:")).and_then(Role::parse)
}

/// The body as text.
fn text(body: &str, is_base64: bool) -> Result<String, Problem> {
    let not_text =
        || Problem::new(400, "invalid-body", "The body cannot be read", "the body is not UTF-8 text");
    if body.len() > BODY_MAX {
        let detail = format!("the body is larger than {BODY_MAX} bytes");
        return Err(Problem::new(413, "too-large", "Too large", &detail));
    }
    if !is_base64 {
        return Ok(body.to_owned());
    }
    let bytes = data_encoding::BASE64.decode(body.as_bytes()).map_err(|_| not_text())?;
    String::from_utf8(bytes).map_err(|_| not_text())
}

#[cfg(test)]
mod tests;
