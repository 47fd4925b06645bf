use super::*;
use domain::account::Environment;
use domain::time::UtcNanos;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn note(contracts: u32) -> OwnedNote {
    OwnedNote {
        account: AccountRef {
            user: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            account: "00000000-0000-0000-0000-000000000002".parse().unwrap(),
            environment: Environment::Sandbox,
        },
        structures: Vec::new(),
        owned: vec![("SPXW261120C05610000".parse().unwrap(), contracts)],
        flatten: true,
        at: UtcNanos(7),
    }
}

#[tokio::test]
async fn the_last_note_of_an_account_is_read_back() {
    let dir = std::env::temp_dir().join(format!("claxton-notes-{}", std::process::id()));
    let notes = FileNotes::new(&dir);
    assert_eq!(notes.get(&note(1).account).await, Ok(None));
    notes.put(&note(1)).await.unwrap();
    notes.put(&note(3)).await.unwrap();
    assert_eq!(notes.get(&note(1).account).await, Ok(Some(note(3))));
    std::fs::write(notes.path(&note(1).account), "{").unwrap();
    assert!(notes.get(&note(1).account).await.unwrap_err().to_string().contains("not a note of ours"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_claim_is_made_once_and_shared_with_the_books_alone() {
    let dir = std::env::temp_dir().join(format!("claxton-claims-{}", std::process::id()));
    let (notes, account) = (FileNotes::new(&dir), note(1).account);
    for (what, with_books, first) in [
        ("2026-11-20-1", true, true),
        ("2026-11-20-1", true, true),
        ("2026-11-20-1", false, false),
        ("2026-11-20-2", false, true),
        ("2026-11-20-2", false, false),
        ("2026-11-20-2", true, false),
    ] {
        assert_eq!(notes.claim(&account, what, with_books).await, Ok(first), "{what} {with_books}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_claim_is_a_conditional_write_to_s3() {
    let replies = [
        ("200 OK", ""),
        ("412 Precondition Failed", ""),
        ("200 OK", "without the books"),
        ("412 Precondition Failed", ""),
        ("200 OK", "with the books"),
        ("503 Slow Down", ""),
    ];
    let (env, asked) = s3(replies.map(|(status, body)| reply(status, body)).to_vec()).await;
    let (notes, account) = (Notes::from_env(&env).unwrap(), note(1).account);
    assert_eq!(notes.claim(&account, "w", false).await, Ok(true));
    assert_eq!(notes.claim(&account, "w", true).await, Ok(false));
    assert_eq!(notes.claim(&account, "w", true).await, Ok(true));
    assert!(notes.claim(&account, "w", true).await.is_err());
    let asked = asked.await.unwrap();
    assert!(asked[0].starts_with("PUT /notes/claims/sandbox/"), "{}", asked[0]);
    assert!(asked[0].contains("if-none-match: *"), "{}", asked[0]);
}

#[test]
fn a_function_without_a_place_for_notes_says_which_variables_name_one() {
    let error = Notes::from_env(&Env::default()).unwrap_err().to_string();
    assert!(error.contains("OWNED_NOTES_BUCKET") && error.contains("OWNED_NOTES_DIR"), "{error}");
}

/// An S3 that answers each of `replies` once and hands back what it was asked.
async fn s3(replies: Vec<String>) -> (Env, tokio::task::JoinHandle<Vec<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 16 * 1024];
            let length = stream.read(&mut seen).await.unwrap();
            asked.push(String::from_utf8_lossy(&seen[..length]).into_owned());
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        asked
    });
    let pairs = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "very-secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ("OWNED_NOTES_BUCKET", "notes"),
    ];
    (Env::of(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))), asked)
}

fn reply(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn s3_gets_signed_requests_and_its_answers_are_told_apart() {
    let stored = String::from_utf8(render(&note(2))).unwrap();
    let replies = [("200 OK", ""), ("200 OK", stored.as_str()), ("404 Not Found", ""), ("403 Forbidden", "")];
    let (env, asked) = s3(replies.map(|(status, body)| reply(status, body)).to_vec()).await;
    let notes = Notes::from_env(&env).unwrap();
    notes.put(&note(2)).await.unwrap();
    assert_eq!(notes.get(&note(2).account).await, Ok(Some(note(2))));
    assert_eq!(notes.get(&note(2).account).await, Ok(None));
    assert!(notes.get(&note(2).account).await.unwrap_err().to_string().contains("403"));
    let asked = asked.await.unwrap();
    assert!(asked[0].starts_with("PUT /notes/owned/sandbox/00000000-"), "{}", asked[0]);
    for request in &asked {
        let head = request.to_lowercase();
        assert!(head.contains("authorization: aws4-hmac-sha256 credential=akidexample/"), "{head}");
        assert!(head.contains("/us-east-1/s3/aws4_request"), "{head}");
        assert!(
            head.contains("x-amz-content-sha256: ") && head.contains("x-amz-security-token: session"),
            "{head}"
        );
        assert!(!head.contains("very-secret"));
    }
}
