//! Where sealed values are, and what each is bound to.

use entities::server_key::Purpose;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::super::kyc::person::context;
use super::super::vault::{place, unavailable};
use super::super::{Error, Services};
use crate::crypto::root_keys::RootKeyFailure;
use crate::crypto::seal::{HEAD, Head};
use crate::db::Db;

/// A table whose rows hold a value each that a root key sealed. Challenges of passkeys are not among them: they are gone
/// after five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    ServerKeys,
    ApiKeys,
    TotpAuthenticators,
    OutboxMessages,
    KycVerifications,
    KycPersonKeys,
}

/// A row and its value, as they were read.
pub(super) struct Row {
    pub id: Uuid,
    pub sealed: Vec<u8>,
    /// Under the current root key; nothing when it does not open.
    pub rewrapped: Option<Vec<u8>>,
}

impl Table {
    pub(super) const ALL: [Self; 6] = [
        Self::ServerKeys,
        Self::ApiKeys,
        Self::TotpAuthenticators,
        Self::OutboxMessages,
        Self::KycVerifications,
        Self::KycPersonKeys,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerKeys => "server_keys",
            Self::ApiKeys => "api_keys",
            Self::TotpAuthenticators => "totp_authenticators",
            Self::OutboxMessages => "outbox_messages",
            Self::KycVerifications => "kyc_verifications",
            Self::KycPersonKeys => "kyc_person_keys",
        }
    }

    pub(super) fn column(self) -> &'static str {
        if self == Self::ApiKeys { "wrapped_key" } else { "sealed" }
    }

    /// The head of the value in SQL, as it is in the index.
    fn head(self) -> String {
        // An envelope has the length of the wrapped key in front of it.
        let start = if self == Self::TotpAuthenticators { 3 } else { 1 };
        format!("substr({}, {start}, {HEAD})", self.column())
    }

    fn context_columns(self) -> &'static str {
        match self {
            Self::ServerKeys => "purpose, kid,",
            Self::ApiKeys => "account_id, version,",
            Self::TotpAuthenticators | Self::KycPersonKeys => "account_id,",
            Self::OutboxMessages | Self::KycVerifications => "",
        }
    }

    /// The first head behind another one; from the index, however many rows there are.
    pub(super) async fn next_head(self, db: &Db, after: &[u8]) -> Result<Option<Vec<u8>>, DbErr> {
        let (table, column, head) = (self.name(), self.column(), self.head());
        let sql = format!(
            "SELECT {head} AS head FROM {table} WHERE {head} > $1 AND {column} IS NOT NULL ORDER BY {head} LIMIT 1"
        );
        let statement = Statement::from_sql_and_values(db.engine(), sql, [after.to_vec().into()]);
        let row = db.reader().query_one_raw(statement).await?;
        row.map(|row| row.try_get("", "head")).transpose()
    }

    pub(super) async fn count(self, db: &Db, head: &[u8]) -> Result<u64, DbErr> {
        let sql = format!(
            "SELECT COUNT(*) AS count FROM {} WHERE {} = $1 AND {} IS NOT NULL",
            self.name(),
            self.head(),
            self.column()
        );
        let statement = Statement::from_sql_and_values(db.engine(), sql, [head.to_vec().into()]);
        let row = db.reader().query_one_raw(statement).await?;
        let count: Option<i64> = row.map(|row| row.try_get("", "count")).transpose()?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// Rows that begin like this, in the order of their ids.
    pub(super) async fn rows(
        self,
        db: &Db,
        head: &[u8],
        after: Uuid,
        limit: u64,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let sql = format!(
            "SELECT id, {} {column} AS sealed FROM {} WHERE {} = $1 AND id > $2 AND {column} IS NOT NULL
             ORDER BY id LIMIT {limit}",
            self.context_columns(),
            self.name(),
            self.head(),
            column = self.column(),
        );
        let values: [Value; 2] = [head.to_vec().into(), after.into()];
        db.reader().query_all_raw(Statement::from_sql_and_values(db.engine(), sql, values)).await
    }
}

impl Services {
    /// How values of the table begin that are sealed from now on.
    pub(super) async fn current_head(&self, table: Table) -> Result<Head, Error> {
        match table {
            Table::ApiKeys => self.vault.roots.head().await.map_err(unavailable),
            _ => Ok(self.factors.wrapper().head()),
        }
    }

    /// Seals the value of a row anew. An error says that the root key can't be reached.
    pub(super) async fn rewrap(&self, table: Table, row: &QueryResult) -> Result<Row, Error> {
        let (id, sealed): (Uuid, Vec<u8>) = (row.try_get("", "id")?, row.try_get("", "sealed")?);
        let rewrapped = match table {
            Table::ServerKeys => {
                let purpose: Purpose = row.try_get("", "purpose")?;
                let kid: String = row.try_get("", "kid")?;
                self.keys.rewrap(id.into(), purpose, &kid, &sealed).map_err(RootKeyFailure::from)
            }
            Table::ApiKeys => {
                let owner: Uuid = row.try_get("", "account_id")?;
                let place = place(owner.into(), id.into(), row.try_get("", "version")?);
                self.rewrap_record_key(&place, &sealed).await
            }
            Table::TotpAuthenticators => {
                let account: Uuid = row.try_get("", "account_id")?;
                self.rewrap_totp(account.into(), id.into(), &sealed).map_err(RootKeyFailure::from)
            }
            Table::OutboxMessages => self.outbox.rewrap(id.into(), &sealed).map_err(RootKeyFailure::from),
            Table::KycVerifications => self.kyc.rewrap(id.as_bytes(), &sealed).map_err(RootKeyFailure::from),
            Table::KycPersonKeys => {
                let account: Uuid = row.try_get("", "account_id")?;
                self.kyc.rewrap(&context(account.into()), &sealed).map_err(RootKeyFailure::from)
            }
        };
        match rewrapped {
            Ok(rewrapped) => Ok(Row { id, sealed, rewrapped: Some(rewrapped) }),
            Err(RootKeyFailure::Unopened(_)) => Ok(Row { id, sealed, rewrapped: None }),
            Err(RootKeyFailure::Unavailable(reason)) => Err(Error::Unavailable(reason)),
        }
    }
}
