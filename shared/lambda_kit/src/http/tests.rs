use super::*;

const USER: &str = "00000000-0000-0000-0000-000000000001";

fn event(method: &str, path: &str, body: Option<&str>) -> ApiGatewayV2httpRequest {
    let event = serde_json::json!({
        "version": "2.0",
        "rawPath": path,
        "queryStringParameters": { "session": "2026-11-20" },
        "requestContext": {
            "stage": "$default",
            "http": { "method": method, "path": path },
            "authorizer": { "jwt": { "claims": { "sub": USER, "role": "authenticated",
                "app_metadata": "map[provider:email role:operator]" } } },
        },
        "body": body,
    });
    serde_json::from_value(event).unwrap()
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shape {
    #[expect(dead_code, reason = "only read")]
    token: String,
    #[expect(dead_code, reason = "only read")]
    flatten_foreign: bool,
}

fn with_body(body: &str) -> Call {
    Call::of(&event("PUT", "/v1/credentials", Some(body))).unwrap()
}

#[test]
fn a_call_is_who_what_and_where() {
    let call = Call::of(&event("GET", "/v1/setups/abc", None)).unwrap();
    assert_eq!(call.route(), ("GET", vec!["v1", "setups", "abc"]));
    assert_eq!(call.caller(), Ok(Caller { user: USER.parse().unwrap(), role: Role::Operator }));
    assert_eq!(call.parameter::<jiff::civil::Date>("session", "a date").unwrap().unwrap().day(), 20);
    assert_eq!(call.parameter::<u8>("session", "a number").unwrap_err().field.as_deref(), Some("session"));
}

#[test]
fn a_role_is_taken_from_claims_alone_and_a_value_cannot_pose_as_one() {
    for (claims, role) in [
        (vec![("role", "coach")], Some(Role::Coach)),
        (vec![("role", "authenticated")], Some(Role::Member)),
        (vec![("role", "authenticated"), ("app_metadata.role", "operator")], Some(Role::Operator)),
        (vec![("app_metadata", r#"{"role":"operator"}"#)], Some(Role::Operator)),
        (vec![("app_metadata", "map[note:xrole:operator]")], Some(Role::Member)),
        (vec![("app_metadata", "map[note:map[a:b role:operator] role:member]")], Some(Role::Member)),
        (vec![("user_metadata", "map[role:operator]")], Some(Role::Member)),
    ] {
        let claim = |name: &str| match name {
            "sub" => Some(USER),
            _ => claims.iter().find(|it| it.0 == name).map(|it| it.1),
        };
        assert_eq!(caller(claim).map(|it| it.role), role, "{claims:?}");
    }
    assert_eq!(caller(|name| (name == "sub").then_some("somebody")), None);
}

#[test]
fn a_malformed_body_is_answered_with_its_place_and_field() {
    let problem = with_body("{\"token\":\"x\",\n  oops}").read::<Shape>().unwrap_err();
    assert!(problem.detail.contains("line 2 column 3"), "{problem:?}");
    let problem = with_body(r#"{"token":"x","flattenForeign":true,"extra":1}"#).read::<Shape>().unwrap_err();
    assert_eq!((problem.status, problem.field.as_deref()), (400, Some("extra")));
    let problem = with_body("").read::<Shape>().unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("token"));
}

#[test]
fn a_body_with_a_secret_is_never_repeated() {
    for body in [
        r#"{"token":"x","flattenForeign":"very-secret"}"#,
        r#"{"token":"x","flattenForeign":true,"very-secret":1}"#,
        r#"{"token": very-secret}"#,
        r#""very-secret""#,
    ] {
        let problem = with_body(body).read_secret::<Shape>().unwrap_err();
        assert!(!format!("{problem:?}").contains("very-secret"), "{problem:?}");
        assert!(problem.detail.contains("line 1 column"), "{problem:?}");
    }
    let problem = with_body(r#"{"token":"very-secret"}"#).read_secret::<Shape>().unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("flattenForeign"));
    assert!(!format!("{:?}", with_body(r#"{"token":"very-secret"}"#)).contains("very-secret"));
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    const KNOWN: [(&str, &str); 2] = [("GET", "/v1/setups"), ("GET", "/v1/setups/{id}")];
    let call = |method, path| Call::of(&event(method, path, None)).unwrap();
    let problem = Problem::no_route(&call("POST", "/v1/setups/abc"), &KNOWN);
    assert_eq!(
        (problem.status, problem.detail.as_str()),
        (405, "/v1/setups/abc does not take POST; it takes GET")
    );
    let problem = Problem::no_route(&call("GET", "/v1/setup"), &KNOWN);
    assert_eq!(problem.status, 404);
    assert!(problem.detail.contains("GET /v1/setups/{id}"), "{problem:?}");
}

#[test]
fn a_body_in_base64_is_text_again() {
    assert_eq!(text("eyJhIjoxfQ==", true).unwrap(), r#"{"a":1}"#);
    assert_eq!(text("/w==", true).unwrap_err().status, 400);
    assert_eq!(text(&"x".repeat(BODY_MAX + 1), false).unwrap_err().status, 413);
}
