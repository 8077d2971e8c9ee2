//! The provider inside the server: whoever holds the link of a verification decides it, and what they decide takes the way of
//! every webhook.

use entities::{Timestamp, kyc_verification};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::super::{Error, Services};
use super::{Configured, status_of};
use crate::plugins::kyc::{Check, DEMO, Event, Finding, Status};

impl Services {
    /// The verification behind a link of the demo's, while it is open.
    pub async fn demo_verification(&self, external_id: &str) -> Result<kyc_verification::Model, Error> {
        self.demo()?;
        let found = kyc_verification::Entity::find()
            .filter(kyc_verification::Column::Provider.eq(DEMO))
            .filter(kyc_verification::Column::ExternalId.eq(external_id))
            .filter(kyc_verification::Column::Reference.is_not_null())
            .one(self.db.reader())
            .await?;
        let open = |row: &kyc_verification::Model| status_of(row) != Status::Cancelled;
        found.filter(open).ok_or(Error::NotFound)
    }

    /// Decides it, as the vendor of a real one would.
    pub async fn decide_demo(
        &self,
        external_id: &str,
        status: Status,
    ) -> Result<kyc_verification::Model, Error> {
        let row = self.demo_verification(external_id).await?;
        let now: Timestamp = self.sources.now();
        let passed: &[Check] = match (status, row.level.as_str()) {
            (Status::Approved, "full") => &[Check::Document, Check::Face],
            (Status::Approved, _) => &[Check::Document],
            _ => &[],
        };
        let event = Event {
            name: "demo.decided".into(),
            dedupe_key: self.sources.id::<Uuid>().to_string(),
            reference: row.reference.clone(),
            external_id: Some(row.external_id.clone()),
            occurred_at: Some(now.0),
            finding: Some(Finding::new(status, <&str>::from(status)).checked(passed.iter().copied())),
        };
        let body = serde_json::to_vec(&event).map_err(|error| Error::Internal(error.to_string()))?;
        let demo = self.demo()?;
        self.accept(demo, &event, &body, now).await?;
        demo.wake.notify_one();
        Ok(row)
    }

    fn demo(&self) -> Result<&Configured, Error> {
        self.kyc.provider(DEMO).ok_or(Error::NotFound)
    }
}
