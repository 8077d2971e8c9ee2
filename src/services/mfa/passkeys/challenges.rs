//! Challenges: each made for one ceremony of one account and session or ticket, good for a few minutes, and taken away by the
//! first answer, right or wrong.

use std::time::Duration;

use entities::{AccountId, MfaTicketId, SessionId, Timestamp, WebauthnChallengeId, webauthn_challenge};
use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::super::{Error, Services};

/// How long a challenge waits for its answer. The browser gives up at the same time.
pub const LIFETIME: Duration = Duration::from_secs(300);
/// How many may wait per account; a further one takes the place of the oldest. Those of nobody yet are bounded by the
/// limit of the address.
const MOST: u64 = 10;

/// What a challenge is for. Its state opens for this and for nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ceremony {
    Registration(AccountId, SessionId),
    /// A passkey is to say who signs in.
    Login,
    SecondFactor(AccountId, MfaTicketId),
    StepUp(AccountId, SessionId),
}

impl Ceremony {
    fn purpose(self) -> &'static str {
        match self {
            Self::Registration(..) => "registration",
            Self::Login => "login",
            Self::SecondFactor(..) => "second_factor",
            Self::StepUp(..) => "step_up",
        }
    }

    fn account(self) -> Option<AccountId> {
        match self {
            Self::Login => None,
            Self::Registration(account, _) | Self::SecondFactor(account, _) | Self::StepUp(account, _) => {
                Some(account)
            }
        }
    }

    /// What the state is sealed for: this challenge, this ceremony, and whoever began it.
    fn context(self, id: WebauthnChallengeId) -> Vec<u8> {
        let purpose = self.purpose();
        match self {
            Self::Login => format!("{id}/{purpose}"),
            Self::Registration(account, session) | Self::StepUp(account, session) => {
                format!("{id}/{purpose}/{account}/{session}")
            }
            Self::SecondFactor(account, ticket) => format!("{id}/{purpose}/{account}/{ticket}"),
        }
        .into_bytes()
    }
}

impl Services {
    /// Keeps the state of a ceremony until it is answered.
    pub(super) async fn begin(
        &self,
        ceremony: Ceremony,
        state: &impl Serialize,
    ) -> Result<(WebauthnChallengeId, Timestamp), Error> {
        let now = self.sources.now();
        let (id, expires_at) = (self.sources.id(), now + LIFETIME);
        let state = serde_json::to_vec(state).map_err(|error| Error::Internal(error.to_string()))?;
        let row = webauthn_challenge::Model {
            id,
            account_id: ceremony.account(),
            purpose: ceremony.purpose().to_owned(),
            sealed: self.challenges.seal(&ceremony.context(id), &state),
            created_at: now,
            expires_at,
        };
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let row = row.into_active_model().reset_all();
                    webauthn_challenge::Entity::insert(row).exec_without_returning(transaction).await?;
                    match ceremony.account() {
                        Some(account) => Ok(forget_beyond(transaction, account).await?),
                        None => Ok(()),
                    }
                })
            })
            .await?;
        Ok((id, expires_at))
    }

    /// Takes a challenge away and answers the state that it was kept with; nothing if it is unknown, too old, answered
    /// before, or made for something else.
    pub(super) async fn take<T: DeserializeOwned>(
        &self,
        db: &DatabaseTransaction,
        ceremony: Ceremony,
        id: WebauthnChallengeId,
    ) -> Result<Option<T>, Error> {
        let taken = webauthn_challenge::Entity::delete_many()
            .filter(webauthn_challenge::Column::Id.eq(id))
            .exec_with_returning(db)
            .await?;
        let Some(row) = taken.into_iter().next() else { return Ok(None) };
        if row.expires_at <= self.sources.now() {
            return Ok(None);
        }
        let Ok(state) = self.challenges.open(&ceremony.context(id), &row.sealed) else { return Ok(None) };
        serde_json::from_slice(&state)
            .map(Some)
            .map_err(|error| Error::Internal(format!("challenge {id}: {error}")))
    }
}

async fn forget_beyond(db: &DatabaseTransaction, account: AccountId) -> Result<(), DbErr> {
    let mut newest = Query::select();
    newest
        .column(webauthn_challenge::Column::Id)
        .from(webauthn_challenge::Entity)
        .and_where(webauthn_challenge::Column::AccountId.eq(account))
        .order_by(webauthn_challenge::Column::CreatedAt, sea_orm::Order::Desc)
        .order_by(webauthn_challenge::Column::Id, sea_orm::Order::Desc)
        .limit(MOST);
    webauthn_challenge::Entity::delete_many()
        .filter(webauthn_challenge::Column::AccountId.eq(account))
        .filter(webauthn_challenge::Column::Id.not_in_subquery(newest))
        .exec(db)
        .await
        .map(drop)
}
