//! Measures quote fan-out: many market streams of one sandbox whose session goes faster than life.
//!
//! ```text
//! cargo run --profile fast -p sandbox --example fanout -- [streams] [speed] [seconds]
//! ```
//!
//! Without arguments 100 streams at 50 times real speed for 10 s. Each stream is a WebSocket of a user of its own and
//! hears of everything the session has: every series and both underlyings, every payload. The clients are in a thread
//! beside the sandbox's. Lag is the time from when a payload was due on the wall, by its market time and the speed,
//! until a client had it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use domain::account::AccountType;
use domain::money::Usd;
use domain::time::UtcNanos;
use futures_util::{SinkExt, StreamExt};
use sandbox::market::Feed;
use sandbox::play::{Play, Setup, Start};
use sim::broker::{AccountConfig, Latencies, Limits, Rules, UserConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[expect(clippy::disallowed_methods, reason = "a measure has a stopwatch")]
fn wall() -> UtcNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn user(n: usize) -> anyhow::Result<UserConfig> {
    let number = format!("VA{n:08}").parse()?;
    let account = AccountConfig::full(number, AccountType::Margin, Usd::from_dollars(100_000));
    Ok(UserConfig::with_account(&format!("id-{n}"), &format!("token-{n}"), account))
}

fn main() -> anyhow::Result<()> {
    let mut asked = std::env::args().skip(1);
    let mut number = |default: f64| asked.next().map_or(Ok(default), |it| it.parse::<f64>());
    let (streams, speed, seconds) = (number(100.0)? as usize, number(50.0)?, number(10.0)?);
    let (profile, feed) = Feed::wider_generated(7, None)?;
    let mut symbols: BTreeSet<String> = profile.series.iter().map(|it| it.series.to_string()).collect();
    symbols.extend(["SPX".to_owned(), "SPY".to_owned()]);
    // An hour into the session, with the clock started before the clients come.
    let at = profile.session.open.plus(Duration::from_secs(3_600));
    let setup = Setup {
        listen: "127.0.0.1:0".parse()?,
        profile,
        feed,
        start: Start::At { at, speed, holds_at_close: true },
        users: (0..streams).map(user).collect::<anyhow::Result<_>>()?,
        rules: Rules { limits: Limits::Off, latencies: Latencies::NEAR, ..Rules::live(7) },
        faults: None,
        journal: None,
        control: false,
        wall,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let play = Play::start(setup).await?;
        let (address, begun) = (play.address(), (wall(), play.now()));
        let symbols = symbols.into_iter().collect::<Vec<_>>().join(",");
        println!("{streams} streams of {} symbols at {speed} times real speed for {seconds} s", symbols.split(',').count());
        let clients = std::thread::spawn(move || listen(address, streams, &symbols, seconds, speed, begun));
        let run = play.run();
        tokio::select! {
            ended = run => ended?,
            () = async { while !clients.is_finished() { tokio::time::sleep(Duration::from_millis(50)).await } } => {}
        }
        play.stop().await?;
        clients.join().map_err(|_| anyhow::anyhow!("the clients broke"))?
    })
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    frames: u64,
    bytes: u64,
    lags_ms: Vec<f64>,
    ended: bool,
}

fn listen(
    address: std::net::SocketAddr,
    streams: usize,
    symbols: &str,
    seconds: f64,
    speed: f64,
    begun: (UtcNanos, UtcNanos),
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sockets = Vec::new();
        for n in 0..streams {
            let id = session(address, n).await?;
            let (mut socket, _) =
                tokio_tungstenite::connect_async(format!("ws://{address}/v1/markets/events")).await?;
            let ask = format!("{{\"symbols\":[\"{symbols}\"],\"sessionid\":\"{id}\",\"linebreak\":true}}");
            socket.send(Message::text(ask)).await?;
            sockets.push(socket);
        }
        #[expect(clippy::disallowed_methods, reason = "a measure has a stopwatch")]
        let stopwatch = Instant::now();
        let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        let readers = sockets.into_iter().map(|mut socket| async move {
            let mut seen = Seen::default();
            loop {
                match tokio::time::timeout_at(end, socket.next()).await {
                    Ok(Some(Ok(Message::Text(text)))) => {
                        seen.bytes += text.len() as u64;
                        seen.frames += text.lines().count() as u64;
                        seen.lags_ms.extend(last_date(&text).map(|at| lag_ms(at, speed, begun)));
                    }
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(_)) | None) => {
                        seen.ended = true;
                        return seen;
                    }
                    Err(_) => return seen,
                }
            }
        });
        let all = futures_util::future::join_all(readers).await;
        let wall = stopwatch.elapsed().as_secs_f64();
        let (frames, bytes): (u64, u64) =
            all.iter().fold((0, 0), |sum, it| (sum.0 + it.frames, sum.1 + it.bytes));
        let mut lags: Vec<f64> = all.iter().flat_map(|it| it.lags_ms.iter().copied()).collect();
        lags.sort_by(f64::total_cmp);
        let at =
            |share: f64| lags.get(((lags.len() as f64 * share) as usize).min(lags.len().saturating_sub(1)));
        println!(
            "payloads {frames} ({:.0} a second, {:.0} a second and stream), {:.1} MB/s",
            frames as f64 / wall,
            frames as f64 / wall / streams as f64,
            bytes as f64 / wall / 1e6
        );
        println!(
            "lag in ms: median {:.1}, 99th percentile {:.1}, most {:.1}",
            at(0.5).unwrap_or(&0.0),
            at(0.99).unwrap_or(&0.0),
            at(1.0).unwrap_or(&0.0)
        );
        println!("streams ended before the measure did: {}", all.iter().filter(|it| it.ended).count());
        Ok(())
    })
}

/// The time of the last payload of a message, in milliseconds.
fn last_date(text: &str) -> Option<i64> {
    let from = text.rfind("date\":\"")?;
    let digits = text.get(from + 7..from + 20)?;
    digits.parse().ok()
}

fn lag_ms(at_ms: i64, speed: f64, (wall_begun, market_begun): (UtcNanos, UtcNanos)) -> f64 {
    let market = (at_ms as f64) - market_begun.0 as f64 / 1e6;
    let gone = (wall().0 - wall_begun.0) as f64 / 1e6;
    gone - market / speed
}

async fn session(address: std::net::SocketAddr, n: usize) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!(
        "POST /v1/markets/events/session HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer token-{n}\r\n\
         Accept: application/json\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let id = answer.split("\"sessionid\":\"").nth(1).and_then(|it| it.split('"').next());
    id.map(str::to_owned).with_context(|| format!("no session in {answer}"))
}
