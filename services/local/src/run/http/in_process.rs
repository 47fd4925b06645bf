//! The functions of a run that is one process.

use std::cell::RefCell;

use api::Api;
use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use broker::connector::Connector;
use broker::https::Https;
use control::Control;
use credentials::Credentials;
use domain::ports::Clock as _;
use domain::time::UtcNanos;
use lambda_kit::http::respond;
use serde_json::Value;
use world::simulated::members;

use super::{Function, Functions};
use crate::run::parts::Local;
use crate::run::turn::Seen;

/// The use cases over the run's parts.
pub(crate) struct InProcess<'a> {
    pub(crate) parts: &'a Local,
    /// A way to the broker that keeps no credentials: what was just rotated must be what is tested.
    pub(crate) transport: Https,
    pub(crate) seen: &'a RefCell<Seen>,
    /// How many times real speed the market goes.
    pub(crate) speed: f64,
    /// Called when something may have been written.
    pub(crate) wrote: &'a dyn Fn(),
}

impl Functions for InProcess<'_> {
    fn now(&self) -> UtcNanos {
        self.parts.clock.now()
    }

    async fn day(&self) -> Value {
        let sandbox = self.parts.venue.sandbox().borrow();
        let accounts = members();
        let accounts: Vec<_> = accounts.iter().filter_map(|it| sandbox.account(it.number.as_str())).collect();
        let held = |series: &_| accounts.iter().any(|it| it.positions.keys().any(|held| held == series));
        self.seen.borrow().shown(self.now(), self.speed, held)
    }

    async fn call(&self, function: Function, event: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        let (ledger, clock, secrets) = (&self.parts.ledger, &self.parts.clock, &self.parts.secrets);
        match function {
            Function::Api => {
                // One member on one machine asks now and then: nothing is worth keeping.
                let cache = api::Cache::default();
                let api = Api { ledger, reads: ledger, clock, switches: self.parts.switches, cache: &cache };
                respond(event, async |call| api.call(call).await).await
            }
            Function::Control => {
                let control = Control { ledger, clock };
                let answer = respond(event, async |call| control.call(call).await).await;
                (self.wrote)();
                answer
            }
            Function::Credentials => {
                let brokers = &Connector::new(secrets.clone(), clock.clone(), self.transport.clone(), None);
                let credentials = Credentials { ledger, secrets, brokers, clock };
                respond(event, async |call| credentials.call(call).await).await
            }
        }
    }
}
