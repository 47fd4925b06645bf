//! Sessions of event streams: a pass for one connection within five minutes.

use domain::ports::{BrokerError, Clock};

use super::Tradier;
use crate::budget::{Group, Purpose};
use crate::rows::{self, StreamSession};
use crate::stream::StreamKind;
use crate::transport::{Method, Transport};

impl<T: Transport, C: Clock> Tradier<T, C> {
    /// A session of the account's event stream. It must be used within five minutes.
    ///
    /// # Errors
    /// [`BrokerError`] as every read; asking again only opens another session.
    pub async fn stream_session(&self) -> Result<StreamSession, BrokerError> {
        self.session(StreamKind::Account).await
    }

    /// A session of the market's event stream. A user has one: a second connection ends the first.
    ///
    /// # Errors
    /// [`BrokerError`] as every read; asking again only opens another session.
    pub async fn market_session(&self) -> Result<StreamSession, BrokerError> {
        self.session(StreamKind::Market).await
    }

    /// A session of either stream.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn session(&self, kind: StreamKind) -> Result<StreamSession, BrokerError> {
        let (path, group) = match kind {
            StreamKind::Account => ("/v1/accounts/events/session", Group::Standard),
            StreamKind::Market => ("/v1/markets/events/session", Group::Market),
        };
        let request = self.request(Method::Post, path.to_owned());
        let reply = self.send(group, Purpose::Exit, &request).await?;
        self.body(group, &reply, rows::stream_session)
    }
}
