//! Testing a connection: one test of a key at a time, on any node, and not too often, because services shut out addresses
//! that keep knocking.

use std::panic::resume_unwind;
use std::time::Duration;

use entities::{AccountId, ApiKeyId, Timestamp, api_key};
use sea_orm::{Statement, Value};
use serde::{Deserialize, Serialize};

use super::super::audit::Action;
use super::super::clock_check::CLOCKS_AGREE;
use super::super::limits::Limit;
use super::super::{Error, Origin, Services, limits};
use super::{TRIES, Visitor, connector};
use crate::plugins::connectors::{
    Connector, Credential, IpRestriction, NONCES, Outcome, Permissions, Report, Tested, Tri,
};

/// Longer than any test takes: twice a look at the clock and two requests, each within its time.
const LEASE: Duration = Duration::from_secs(90);
/// How long, and how often, a test waits for another one of the same key.
const WAITS: u32 = 40;
const WAIT: Duration = Duration::from_millis(250);

/// What is known of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Untested,
    Working,
    Failing,
}

impl Judgement {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Untested => "untested",
            Self::Working => "working",
            Self::Failing => "failing",
        }
    }
}

/// What came of a test, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    pub at: i64,
    pub outcome: String,
    pub account: Option<String>,
    pub permissions: Told,
    /// Nothing when it is not known; no addresses when only that there is a restriction.
    pub ip_restricted: Option<bool>,
    pub ip_addresses: Vec<String>,
    pub expires_at: Option<i64>,
    pub provider_code: Option<String>,
    pub provider_message: Option<String>,
    pub retry_after: Option<u64>,
    pub advice: String,
    pub latency_ms: u64,
    /// Whether it says something of the credential.
    pub judges: bool,
}

/// Permissions as `yes`, `no` or `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub read: String,
    pub trade: String,
    pub withdraw: String,
    pub transfer: String,
    pub raw: Vec<String>,
}

impl TestResult {
    fn new(at: Timestamp, Tested { report, latency }: Tested) -> Self {
        let Report { outcome, permissions, ip_restriction, .. } = report;
        let Permissions { read, trade, withdraw, transfer, raw } = permissions;
        let told = |tri: Tri| <&str>::from(tri).to_owned();
        let (ip_restricted, ip_addresses) = match ip_restriction {
            IpRestriction::Unknown => (None, vec![]),
            IpRestriction::Unrestricted => (Some(false), vec![]),
            IpRestriction::Restricted(addresses) => (Some(true), addresses),
        };
        Self {
            at: at.0,
            outcome: <&str>::from(outcome).to_owned(),
            account: report.account,
            permissions: Told {
                read: told(read),
                trade: told(trade),
                withdraw: told(withdraw),
                transfer: told(transfer),
                raw,
            },
            ip_restricted,
            ip_addresses,
            expires_at: report.expires_at.map(|at| at.0),
            provider_code: report.provider_code,
            provider_message: report.provider_message,
            retry_after: report.retry_after,
            advice: report.advice.to_owned(),
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            judges: outcome.judges_the_credential(),
        }
    }

    #[must_use]
    pub fn works(&self) -> bool {
        self.outcome == <&str>::from(Outcome::Ok)
    }

    /// What the owner should think about, beside the outcome.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let yes = <&str>::from(Tri::Yes);
        let mut warnings = vec![];
        if self.permissions.withdraw == yes {
            warnings.push("The key may withdraw. Take that permission away unless it is needed.");
        }
        if self.permissions.trade == yes && self.ip_restricted == Some(false) {
            warnings.push("The key may trade and can be used from any address. Restrict it to addresses, at the service.");
        }
        warnings
    }

    /// What is known of the credential from now on. That a service can't be reached says nothing of it.
    fn status(&self) -> Option<String> {
        let judgement = if self.works() { Judgement::Working } else { Judgement::Failing };
        (self.works() || self.judges).then(|| judgement.name().to_owned())
    }

    /// What is stored of it.
    pub(super) fn applied_to(&self, row: api_key::Model) -> api_key::Model {
        api_key::Model {
            tested_at: Some(Timestamp(self.at)),
            outcome: Some(self.outcome.clone()),
            report: serde_json::to_string(self).ok(),
            status: self.status().unwrap_or(row.status),
            ..row
        }
    }

    /// The last one of a row.
    #[must_use]
    pub fn of(row: &api_key::Model) -> Option<Self> {
        row.report.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }
}

impl Services {
    /// Tests one of the caller's credentials.
    pub async fn test_api_key(
        &self,
        visitor: &Visitor,
        id: ApiKeyId,
        origin: &Origin,
    ) -> Result<(api_key::Model, TestResult), Error> {
        let row = self.api_key_of(self.db.reader(), visitor.account(), id).await?;
        self.test_stored(visitor, row, origin).await
    }

    pub(super) async fn test_stored(
        &self,
        visitor: &Visitor,
        mut row: api_key::Model,
        origin: &Origin,
    ) -> Result<(api_key::Model, TestResult), Error> {
        let (owner, id) = (row.account_id, row.id);
        for _ in 0..TRIES {
            if let Some(tested) = self.try_test(visitor, row, origin).await? {
                return Ok(tested);
            }
            row = self.api_key_of(self.db.reader(), owner, id).await?;
        }
        Err(Error::Overloaded)
    }

    /// Nothing if another credential has been stored before it was this one's turn.
    async fn try_test(
        &self,
        visitor: &Visitor,
        row: api_key::Model,
        origin: &Origin,
    ) -> Result<Option<(api_key::Model, TestResult)>, Error> {
        let connector = connector(&row)?;
        let credential = self.credential(&row).await?;
        self.admit_test(row.account_id, row.id, connector, &credential).await?;
        let (services, visitor, origin) = (self.clone(), visitor.clone(), origin.clone());
        // By itself: whoever asks may go away, and the turn has to be given back all the same.
        let tested = tokio::spawn(async move {
            services.test_in_turn(&visitor, row, connector, &credential, &origin).await
        });
        tested.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Err(Error::Internal(error.to_string())),
        })
    }

    async fn test_in_turn(
        &self,
        visitor: &Visitor,
        row: api_key::Model,
        connector: &dyn Connector,
        credential: &Credential,
        origin: &Origin,
    ) -> Result<Option<(api_key::Model, TestResult)>, Error> {
        let Some(nonce) = self.take_turn(&row).await? else { return Ok(None) };
        let result = self.run_test(connector, credential, nonce).await;
        let row = result.applied_to(row);
        let event = visitor.event(Action::ApiKeyTested, origin);
        let detail = serde_json::json!({
            "api_key": row.id.to_string(), "provider": row.provider, "outcome": result.outcome,
        });
        let record = self.audit(event.detail(visitor.detail(detail)));
        let (written, status) = (row.clone(), result.status());
        let engine = self.db.engine();
        let status = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    use sea_orm::ConnectionTrait as _;
                    // Of the credential that was tested: another one may have been stored meanwhile. Where nothing is said of
                    // it, what another test has said while this one waited stays.
                    let sql = "UPDATE api_keys SET tested_at = $1, outcome = $2, report = $3,
                                 status = COALESCE($4, status), busy_until = 0
                               WHERE id = $5 AND version = $6 RETURNING status";
                    let values: [Value; 6] = [
                        written.tested_at.into(),
                        written.outcome.into(),
                        written.report.into(),
                        status.into(),
                        written.id.into(),
                        written.version.into(),
                    ];
                    let statement = Statement::from_sql_and_values(engine, sql, values);
                    let rows = transaction.query_all_raw(statement).await?;
                    let status = rows.first().map(|row| row.try_get::<String>("", "status")).transpose()?;
                    record.write(transaction).await?;
                    Ok(status)
                })
            })
            .await?;
        let status = status.unwrap_or(row.status);
        Ok(Some((api_key::Model { status, ..row }, result)))
    }

    pub(super) async fn run_test(
        &self,
        connector: &dyn Connector,
        credential: &Credential,
        nonce: i64,
    ) -> TestResult {
        let nonce = u64::try_from(nonce).unwrap_or(0);
        let tested = self.vault.network.test(connector, credential, nonce).await;
        TestResult::new(self.sources.now(), tested)
    }

    pub(super) async fn admit_test(
        &self,
        owner: AccountId,
        id: ApiKeyId,
        connector: &dyn Connector,
        credential: &Credential,
    ) -> Result<(), Error> {
        let limits = &self.config.limits;
        // A URL that may not be asked is told by the test itself.
        let host =
            self.vault.network.base_url(connector, credential).map(|url| url.origin().ascii_serialization());
        self.admit(vec![
            Limit::subject("connection_test", &id.to_string(), limits.connection_test_per_key),
            Limit::subject("connection_test_owner", &owner.to_string(), limits.connection_test_per_account),
            Limit::subject(
                "connection_test_host",
                &host.unwrap_or_default(),
                limits.connection_test_per_host,
            ),
        ])
        .await
    }

    /// Waits until no other test of this key is under way. Answers the first of the nonces that this one may use; none if
    /// there is another credential by then.
    async fn take_turn(&self, row: &api_key::Model) -> Result<Option<i64>, Error> {
        let reserved = i64::try_from(NONCES).unwrap_or(i64::MAX);
        for _ in 0..WAITS {
            let now = self.sources.now();
            // A turn that is longer was taken by a clock that was ahead.
            let longest = now + LEASE + 2 * CLOCKS_AGREE;
            let sql = "UPDATE api_keys SET busy_until = $1,
                         nonce = CASE WHEN nonce < $2 THEN $2 ELSE nonce + 1 END + $3
                       WHERE id = $4 AND version = $5 AND (busy_until <= $2 OR busy_until > $6) RETURNING nonce";
            let values: [Value; 6] = [
                (now + LEASE).into(),
                now.into(),
                reserved.into(),
                row.id.into(),
                row.version.into(),
                longest.into(),
            ];
            let rows = self
                .db
                .write_one::<Error>(Statement::from_sql_and_values(self.db.engine(), sql, values))
                .await?;
            if let Some(found) = rows.first() {
                return Ok(Some(found.try_get::<i64>("", "nonce")? - reserved));
            }
            let current = self.api_key_of(self.db.reader(), row.account_id, row.id).await?;
            if current.version != row.version {
                return Ok(None);
            }
            tokio::time::sleep(WAIT).await;
        }
        limits::count_refusal("connection_test_turn", "subject");
        Err(Error::RateLimited(LEASE))
    }
}
