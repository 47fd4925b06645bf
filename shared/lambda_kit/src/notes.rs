//! What is owned, kept outside the database: the `OwnedNotes` port over a directory or over S3.
//!
//! One object per account, replaced whole. S3 is spoken to by two signed requests, because the SDK's whole client for it
//! would double the size of the functions that keep notes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use domain::account::AccountRef;
use domain::ports::{NoteError, OwnedNote, OwnedNotes};
use http::header::IF_NONE_MATCH;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::env::Env;

/// How long one exchange with S3 may take: a flatten waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// The largest note read.
const NOTE_MAX: usize = 1024 * 1024;

/// Why notes cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// Neither place is named.
    #[error(
        "neither OWNED_NOTES_BUCKET nor OWNED_NOTES_DIR is set: name an S3 bucket, or a directory for local runs"
    )]
    Nowhere,
    /// The bucket is named, what it takes to reach it is not.
    #[error(transparent)]
    Env(#[from] crate::env::EnvError),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[source] rustls::Error),
    /// Not an address.
    #[error("{0:?} is no address of S3")]
    Address(String),
}

/// Notes where the environment says.
#[derive(Debug)]
pub enum Notes {
    /// In a directory.
    File(FileNotes),
    /// In a bucket.
    S3(Box<S3Notes>),
}

impl Notes {
    /// The place that `OWNED_NOTES_DIR` or `OWNED_NOTES_BUCKET` names.
    ///
    /// # Errors
    /// [`NotesError`] when neither does.
    pub fn from_env(env: &Env) -> Result<Self, NotesError> {
        match (env.get("OWNED_NOTES_DIR"), env.get("OWNED_NOTES_BUCKET")) {
            (Some(dir), _) => Ok(Self::File(FileNotes::new(dir))),
            (None, Some(bucket)) => Ok(Self::S3(Box::new(S3Notes::new(bucket, env)?))),
            (None, None) => Err(NotesError::Nowhere),
        }
    }
}

impl OwnedNotes for Notes {
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError> {
        match self {
            Self::File(it) => it.put(note).await,
            Self::S3(it) => it.put(note).await,
        }
    }

    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        match self {
            Self::File(it) => it.get(account).await,
            Self::S3(it) => it.get(account).await,
        }
    }

    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError> {
        match self {
            Self::File(it) => it.claim(account, what, with_books).await,
            Self::S3(it) => it.claim(account, what, with_books).await,
        }
    }
}

/// Notes as files of one directory.
#[derive(Debug, Clone)]
pub struct FileNotes {
    dir: PathBuf,
}

impl FileNotes {
    /// Notes in `dir`, which is made with the first note.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self, account: &AccountRef) -> PathBuf {
        self.dir.join(name(account))
    }

    fn write(&self, note: &OwnedNote) -> std::io::Result<()> {
        let path = self.path(&note.account);
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        // A reader sees the old note or the new one, whatever dies in between.
        let mut fresh = path.clone();
        fresh.set_extension(format!("{}.new", std::process::id()));
        std::fs::write(&fresh, render(note))?;
        std::fs::rename(&fresh, &path)
    }
}

impl OwnedNotes for FileNotes {
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError> {
        self.write(note).map_err(|it| NoteError(format!("{}: {it}", self.path(&note.account).display())))
    }

    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        let path = self.path(account);
        match std::fs::read(&path) {
            Ok(bytes) => parse(&bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NoteError(format!("{}: {error}", path.display()))),
        }
    }

    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError> {
        let path = self.dir.join(claim_name(account, what));
        let failed = |it: std::io::Error| NoteError(format!("{}: {it}", path.display()));
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        // Made whole beside it and linked: a link fails where the name is taken, and nobody reads half a claim.
        let mut fresh = path.clone();
        fresh.set_extension(format!("{}-{with_books}.new", std::process::id()));
        std::fs::write(&fresh, claimant(with_books)).map_err(failed)?;
        let linked = std::fs::hard_link(&fresh, &path);
        std::fs::remove_file(&fresh).map_err(failed)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(shares(&std::fs::read(&path).map_err(failed)?, with_books))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Notes as objects of one bucket.
#[derive(Debug)]
pub struct S3Notes {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    region: String,
    credentials: Credentials,
}

impl S3Notes {
    /// Notes in `bucket`, with region and credentials of the environment. `AWS_ENDPOINT_URL_S3` names another S3.
    ///
    /// # Errors
    /// [`NotesError`] for what is missing.
    pub fn new(bucket: &str, env: &Env) -> Result<Self, NotesError> {
        let region = env.required("AWS_REGION")?.to_owned();
        let base = match env.get("AWS_ENDPOINT_URL_S3") {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
        };
        if base.parse::<Uri>().is_err() {
            return Err(NotesError::Address(base));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(NotesError::Tls)?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, base, region, credentials: crate::aws::credentials(env)? })
    }

    /// One signed exchange.
    async fn exchange(
        &self,
        method: Method,
        key: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), NoteError> {
        self.exchanged(self.signed(method, key, body)?).await
    }

    async fn exchanged(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), NoteError> {
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|it| NoteError(it.to_string()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), NOTE_MAX).collect().await;
            Ok((status, body.map_err(|it| NoteError(it.to_string()))?.to_bytes()))
        };
        let in_time = tokio::time::timeout(ANSWER_MAX, exchange).await;
        in_time.unwrap_or_else(|_| Err(NoteError(format!("no answer within {} s", ANSWER_MAX.as_secs()))))
    }

    /// Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header".
    fn signed(&self, method: Method, key: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>, NoteError> {
        let broken = |it: &dyn std::fmt::Display| NoteError(format!("the request could not be signed: {it}"));
        let uri = format!("{}/{key}", self.base);
        let identity = self.credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(wall())
            .settings(settings)
            .build()
            .map_err(|it| broken(&it))?
            .into();
        let to_sign = SignableRequest::new(
            method.as_str(),
            uri.as_str(),
            std::iter::empty(),
            SignableBody::Bytes(&body),
        )
        .map_err(|it| broken(&it))?;
        let (instructions, _) = sign(to_sign, &params).map_err(|it| broken(&it))?.into_parts();
        let request = Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body)));
        let mut request = request.map_err(|it| broken(&it))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl OwnedNotes for S3Notes {
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError> {
        let key = name(&note.account);
        match self.exchange(Method::PUT, &key, render(note)).await? {
            (status, _) if status.is_success() => Ok(()),
            (status, _) => Err(NoteError(format!("S3 answered {status} to PUT {key}"))),
        }
    }

    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        let key = name(account);
        match self.exchange(Method::GET, &key, Vec::new()).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) if status.is_success() => parse(&body).map(Some),
            (status, _) => Err(NoteError(format!("S3 answered {status} to GET {key}"))),
        }
    }

    /// Source: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes".
    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError> {
        let key = claim_name(account, what);
        let mut request = self.signed(Method::PUT, &key, claimant(with_books))?;
        request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        match self.exchanged(request).await? {
            (status, _) if status.is_success() => Ok(true),
            // Taken, or somebody takes it at this moment: what stands there says who.
            (StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT, _) => {
                match self.exchange(Method::GET, &key, Vec::new()).await? {
                    (status, body) if status.is_success() => Ok(shares(&body, with_books)),
                    (status, _) => Err(NoteError(format!("S3 answered {status} to GET {key}"))),
                }
            }
            (status, _) => Err(NoteError(format!("S3 answered {status} to PUT {key}"))),
        }
    }
}

/// The name of a claim.
fn claim_name(account: &AccountRef, what: &str) -> String {
    format!("claims/{}/{}/{}/{what}", account.environment.as_str(), account.user, account.account)
}

const WITH_BOOKS: &[u8] = b"with the books";

fn claimant(with_books: bool) -> Vec<u8> {
    if with_books { WITH_BOOKS.to_vec() } else { b"without the books".to_vec() }
}

/// Whether a claim that stands is one that who asks has too.
fn shares(standing: &[u8], with_books: bool) -> bool {
    with_books && standing == WITH_BOOKS
}

/// The name of an account's note.
fn name(account: &AccountRef) -> String {
    format!("owned/{}/{}/{}.json", account.environment.as_str(), account.user, account.account)
}

fn render(note: &OwnedNote) -> Vec<u8> {
    // Plain data with text keys: there is nothing in it that JSON cannot say.
    serde_json::to_vec(note).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Result<OwnedNote, NoteError> {
    serde_json::from_slice(bytes).map_err(|it| NoteError(format!("not a note of ours: {it}")))
}

/// Signatures are checked against the real time, also in a run at another day's time.
#[expect(clippy::disallowed_methods, reason = "S3 refuses signatures that are not of now")]
fn wall() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[cfg(test)]
mod tests;
