//! What a person's webhooks are sealed with: a key of their own, under the root key. With the account goes the key, and with
//! the key all that could be read, also in backups of the events.

use entities::{AccountId, KycEventId, kyc_person_key};
use zeroize::Zeroizing;

use super::super::Services;
use crate::crypto::record::{Place, RecordKey};
use crate::crypto::seal::{Sealer, Unopened};
use crate::entropy::Entropy;

const FIELD: &str = "webhook";

/// A key as it is stored.
pub(super) struct PersonKey {
    pub account: AccountId,
    pub sealed: Vec<u8>,
}

/// The key, opened.
pub(super) struct EventKey(RecordKey);

impl EventKey {
    /// `format (1) | nonce (12) | ciphertext and tag`
    pub fn seal(&self, account: AccountId, event: KycEventId, body: &[u8], entropy: Entropy) -> Vec<u8> {
        self.0.seal(&place(account, event), FIELD, body, entropy)
    }

    pub fn open(
        &self,
        account: AccountId,
        event: KycEventId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        self.0.open(&place(account, event), FIELD, sealed)
    }
}

fn place(account: AccountId, event: KycEventId) -> Place {
    Place { owner: account.0, record: event.0, version: 0 }
}

pub(super) fn open_event_key(sealer: &Sealer, key: &PersonKey) -> Option<EventKey> {
    let bytes = sealer.open(&context(key.account), &key.sealed).ok()?;
    RecordKey::from_bytes(&bytes).ok().map(EventKey)
}

/// What a key is bound to.
pub(in super::super) fn context(account: AccountId) -> Vec<u8> {
    [b"kyc person".as_slice(), account.0.as_bytes()].concat()
}

impl Services {
    /// For an account that has none yet.
    pub(super) fn new_person_key(&self, account: AccountId) -> kyc_person_key::Model {
        let key = RecordKey::generate(self.sources.entropy);
        let sealed = self.kyc.sealer.seal(&context(account), key.bytes());
        kyc_person_key::Model { id: self.sources.id(), account_id: account, sealed }
    }
}
