//! An authenticator's answer, checked: the challenge is ours and fresh, the origin is one of ours, the person was verified,
//! the key of the passkey signed it.
//!
//! A signature counter that does not move on says that the passkey may have been copied, and no more: whoever has a copy can
//! count as high as they like. So no single answer is refused for it. Instead the passkey is marked for good, its owner is
//! told, and it is no longer enough by itself: a copy signs nobody in. After the password it is still a second factor, so
//! that its owner is not locked out and can remove it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use entities::{account, passkey};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use webauthn_rs::prelude::{Credential, DiscoverableAuthentication, Passkey, WebauthnError};
use webauthn_rs_proto::{CollectedClientData, PublicKeyCredential};

use super::super::super::audit::{Action, Actor, Event};
use super::super::super::sessions::means::Means;
use super::super::super::{Error, Origin, Services};
use super::challenges::Ceremony;
use super::{Assertion, KIND, credential, stored};
use crate::plugins::mail::NoticeEvent;

impl Services {
    /// Uses a challenge up and checks the answer to it, inside a transaction that has locked the account, if the answer names
    /// one. The inner result is the verdict; with either, what was changed stays changed.
    pub(super) async fn redeem_passkey(
        &self,
        db: &DatabaseTransaction,
        ceremony: Ceremony,
        account: Option<&account::Model>,
        answer: &Assertion,
        origin: &Origin,
    ) -> Result<Result<Means, Error>, Error> {
        let state = self.take(db, ceremony, answer.challenge).await?;
        let refused = Ok(Err(Error::PasskeyRefused));
        let (Some(state), Some(account)) = (state, account) else { return refused };
        let found = passkey::Entity::find()
            .filter(passkey::Column::CredentialId.eq(answer.credential.raw_id.clone()))
            .filter(passkey::Column::AccountId.eq(account.id))
            .one(db)
            .await?;
        let Some(row) = found else { return refused };
        let alone = matches!(ceremony, Ceremony::Login);
        if !is_meant(&answer.credential, account, alone) {
            return refused;
        }
        let Some(verified) = self.verified(&state, credential(&row)?, &answer.credential) else {
            return refused;
        };
        if verified.counter_is_stale && row.suspected_at.is_none() {
            self.suspect(db, account, &row, origin).await?;
        }
        if alone && (verified.counter_is_stale || row.suspected_at.is_some()) {
            return refused;
        }
        let means = Means::Passkey { device_bound: !verified.credential.backup_eligible };
        passkey::Entity::update_many()
            .col_expr(passkey::Column::Credential, Expr::value(stored(verified.credential)?))
            .col_expr(passkey::Column::LastUsedAt, Expr::value(self.sources.now()))
            .filter(passkey::Column::Id.eq(row.id))
            .exec(db)
            .await?;
        Ok(Ok(means))
    }

    /// The credential as it is after this answer; nothing if the answer is no good.
    fn verified(
        &self,
        state: &DiscoverableAuthentication,
        credential: Credential,
        answer: &PublicKeyCredential,
    ) -> Option<Verified> {
        let relying_party = self.relying_party().ok()?;
        let check = |credential: &Credential| {
            relying_party.finish_discoverable_authentication_v2(answer, state.clone(), credential)
        };
        match check(&credential) {
            Ok(result) => {
                let mut passkey = Passkey::from(credential);
                passkey.update_credential(&result)?;
                Some(Verified { credential: passkey.into(), counter_is_stale: false })
            }
            Err(WebauthnError::CredentialPossibleCompromise) => {
                // Everything else must hold all the same. The highest count stays.
                check(&Credential { counter: 0, ..credential.clone() }).ok()?;
                Some(Verified { credential, counter_is_stale: true })
            }
            Err(error) => {
                tracing::debug!(%error, "a passkey's answer is refused");
                None
            }
        }
    }

    async fn suspect(
        &self,
        db: &DatabaseTransaction,
        account: &account::Model,
        row: &passkey::Model,
        origin: &Origin,
    ) -> Result<(), Error> {
        passkey::Entity::update_many()
            .col_expr(passkey::Column::SuspectedAt, Expr::value(self.sources.now()))
            .filter(passkey::Column::Id.eq(row.id))
            .exec(db)
            .await?;
        let suspected = Event::new(Action::PasskeySuspected, Actor::Anonymous(origin)).account(account.id);
        self.audit(suspected.detail(serde_json::json!({ "passkey": row.id.to_string() }))).write(db).await?;
        let cloned = NoticeEvent::PasskeyCloned { name: row.name.clone() };
        self.notice(account, cloned, origin)?.write(db).await?;
        Ok(())
    }
}

struct Verified {
    credential: Credential,
    counter_is_stale: bool,
}

/// What the library leaves to its callers: that the answer names the account as its owner, which it must where nothing else
/// does, and that no page in a frame of a stranger asked for it.
fn is_meant(answer: &PublicKeyCredential, account: &account::Model, must_name_owner: bool) -> bool {
    let owner = match &answer.response.user_handle {
        Some(handle) => handle.as_slice() == account.id.0.as_bytes(),
        None => !must_name_owner,
    };
    let client: Result<CollectedClientData, _> = serde_json::from_slice(&answer.response.client_data_json);
    owner
        && answer.type_ == KIND
        && answer.id == BASE64_URL_SAFE_NO_PAD.encode(&answer.raw_id)
        && client.is_ok_and(|client| client.cross_origin != Some(true))
}
