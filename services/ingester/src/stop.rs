//! When to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wish that we end: SIGTERM, Ctrl-C, or, for one who was started by another program, the end of standard input.
pub(crate) struct Stop {
    term: Signal,
    interrupt: Signal,
    lifeline: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Stop {
    /// Listens from now on; `lifeline` also watches standard input, which ends with the program that holds it.
    pub(crate) fn listen(lifeline: bool) -> std::io::Result<Self> {
        let lifeline = lifeline.then(|| {
            let (ended, end) = tokio::sync::oneshot::channel();
            // A read of standard input cannot be called off, so it has a thread that nobody waits for.
            std::thread::spawn(move || {
                std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
                ended.send(()).ok();
            });
            end
        });
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            lifeline,
        })
    }

    /// Waits until somebody wishes it.
    pub(crate) async fn asked(&mut self) {
        let Self { term, interrupt, lifeline } = self;
        let cut = async {
            match lifeline {
                Some(end) => {
                    end.await.ok();
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {}, () = cut => {} }
    }
}
