//! Everything a run is made of, by its real protocol.

use broker::connector::Connector;
use broker::https::Https;
use domain::account::Switches;
use lambda_kit::notes::FileNotes;
use lambda_kit::secrets::AwsSecrets;
use store::Store;
use world::parts::{Parts, SteeredClock};

use super::mail::SqsMail;
use super::venue::LocalVenue;
use crate::clock::MarketClock;

/// The parts of a local run.
pub(crate) struct Local {
    pub(crate) ledger: Store,
    pub(crate) brokers: Connector<AwsSecrets, Https, MarketClock>,
    pub(crate) notes: FileNotes,
    pub(crate) secrets: AwsSecrets,
    pub(crate) mail: SqsMail,
    pub(crate) venue: LocalVenue,
    pub(crate) clock: MarketClock,
    pub(crate) switches: Switches,
}

impl SteeredClock for MarketClock {
    fn advance_to(&self, to: domain::time::UtcNanos) {
        MarketClock::advance_to(self, to);
    }
}

impl Parts for Local {
    type Ledger = Store;
    type Brokers = Connector<AwsSecrets, Https, MarketClock>;
    type Notes = FileNotes;
    type Secrets = AwsSecrets;
    type Mail = SqsMail;
    type Venue = LocalVenue;
    type Clock = MarketClock;

    fn ledger(&self) -> &Store {
        &self.ledger
    }
    fn brokers(&self) -> &Self::Brokers {
        &self.brokers
    }
    fn notes(&self) -> &FileNotes {
        &self.notes
    }
    fn secrets(&self) -> &AwsSecrets {
        &self.secrets
    }
    fn mail(&self) -> &SqsMail {
        &self.mail
    }
    fn venue(&self) -> &LocalVenue {
        &self.venue
    }
    fn clock(&self) -> &MarketClock {
        &self.clock
    }
    fn switches(&self) -> Switches {
        self.switches
    }
}
