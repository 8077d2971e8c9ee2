//! The outbox: mail is a row written in the transaction that gives rise to it. Workers claim, send, back off and retry,
//! so that a mail server that is down costs nobody a request and no mail is lost.

use std::sync::Arc;
use std::time::Duration;

use entities::outbox_message::{self, State};
use entities::{AccountId, OutboxMessageId, Timestamp};
use lettre::message::Mailbox;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult,
    IntoActiveModel, QueryFilter, Statement, Value,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{Error, Origin, Services};
use crate::crypto::seal::{Sealer, Unopened};
use crate::db::{Db, columns, in_time};
use crate::locale::Locale;
use crate::plugins::mail::{Mail, SEND_TIMEOUT, SendError, Transport, compose};

/// How long a worker has a message to itself. Longer than a transport may take to give up.
const CLAIM: Duration = SEND_TIMEOUT.saturating_add(Duration::from_secs(60));
/// Messages claimed, and sent side by side, at a time.
const BATCH: u64 = 16;
/// How often a worker looks for messages that other nodes wrote or that are due again.
const POLL: Duration = Duration::from_secs(2);
/// Waits between attempts: from this, doubling, to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Then it is given up, about two days after it was written.
const ATTEMPTS: i32 = 56;

/// What there is to do, sealed at rest because links in it are keys.
#[derive(Serialize, Deserialize)]
enum Content {
    Mail {
        to: String,
        mail: Mail,
        /// Those of older releases have none.
        #[serde(default)]
        locale: Locale,
    },
    /// Whether there is anything to send is found out by the worker, so that the request that asked for it takes the
    /// same time either way.
    ResendVerification { email_key: String, origin: Origin },
    /// The same for a link to a new password.
    ResetPassword { email_key: String, origin: Origin },
}

/// Writes messages and wakes the worker.
#[derive(Clone)]
pub struct Outbox {
    sealer: Sealer,
    wake: Arc<Notify>,
}

/// A message ready to be written.
#[must_use = "a message that is not written is not sent"]
pub struct Message(outbox_message::Model);

impl Message {
    pub async fn write(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let row = self.0.into_active_model().reset_all();
        outbox_message::Entity::insert(row).exec_without_returning(db).await.map(drop)
    }
}

/// How many messages wait, since when, and how many were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub pending: u64,
    pub dead: u64,
    /// When the oldest that waits was written.
    pub since: Option<Timestamp>,
}

impl Backlog {
    /// Of a table of messages; `written` is the column that says when.
    pub(super) async fn of(db: &Db, table: &str, written: &str) -> Result<Self, DbErr> {
        // The indexes of those that are finished are partial.
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM {table} WHERE state = 'pending') AS pending,
               (SELECT COUNT(*) FROM {table} WHERE state = 'dead' AND finished_at IS NOT NULL) AS dead,
               (SELECT MIN({written}) FROM {table} WHERE state = 'pending') AS since"
        );
        let row = in_time(db.reader().query_one_raw(Statement::from_string(db.engine(), sql))).await?;
        let Some(row) = row else { return Ok(Self::default()) };
        let count = |name| row.try_get::<i64>("", name).map(|count| u64::try_from(count).unwrap_or(0));
        Ok(Self { pending: count("pending")?, dead: count("dead")?, since: row.try_get("", "since")? })
    }
}

impl Outbox {
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer, wake: Arc::default() }
    }

    /// The content of a message under the current root key.
    pub(super) fn rewrap(&self, id: OutboxMessageId, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.sealer.rewrap(id.0.as_bytes(), sealed)
    }

    /// Tells the worker of this node that there is something to do; call it after the commit.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Services {
    /// A mail to be written in the transaction that gives rise to it. `locale` is what is known of the language of its
    /// reader.
    pub fn mail(
        &self,
        account: Option<AccountId>,
        to: &str,
        locale: Option<Locale>,
        mail: Mail,
    ) -> Result<Message, Error> {
        let template = mail.template();
        let content = Content::Mail { to: to.to_owned(), mail, locale: locale.unwrap_or_default() };
        self.message(account, template, &content)
    }

    /// Another verification mail, if the address has an account that waits for one.
    pub fn verification_request(&self, email_key: &str, origin: &Origin) -> Result<Message, Error> {
        let content = Content::ResendVerification { email_key: email_key.to_owned(), origin: origin.clone() };
        self.message(None, "resend_verification", &content)
    }

    /// A link to a new password, if the address has an account.
    pub fn reset_request(&self, email_key: &str, origin: &Origin) -> Result<Message, Error> {
        let content = Content::ResetPassword { email_key: email_key.to_owned(), origin: origin.clone() };
        self.message(None, "password_reset_request", &content)
    }

    fn message(
        &self,
        account: Option<AccountId>,
        template: &str,
        content: &Content,
    ) -> Result<Message, Error> {
        let id: OutboxMessageId = self.sources.id();
        let now = self.sources.now();
        let content =
            Zeroizing::new(serde_json::to_vec(content).map_err(|error| Error::Internal(error.to_string()))?);
        Ok(Message(outbox_message::Model {
            id,
            account_id: account,
            template: template.to_owned(),
            sealed: Some(self.outbox.sealer.seal(id.0.as_bytes(), &content)),
            state: State::Pending,
            attempts: 0,
            due_at: now,
            last_error: None,
            created_at: now,
            finished_at: None,
        }))
    }

    pub async fn mail_backlog(&self) -> Result<Backlog, DbErr> {
        Backlog::of(&self.db, "outbox_messages", "created_at").await
    }

    /// Sends what is due until told to stop. What is under way is finished.
    pub async fn deliver_mail(&self, transport: Arc<dyn Transport>, stop: CancellationToken) {
        loop {
            match self.deliver_batch(&transport).await {
                Ok(BATCH..) if !stop.is_cancelled() => continue,
                Ok(_) => {}
                Err(error) => {
                    metrics::counter!("latchkey_background_failures_total", "task" => "mail").increment(1);
                    tracing::warn!(?error, "the outbox can't be read");
                }
            }
            tokio::select! {
                () = self.outbox.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round; answers how many messages were claimed.
    async fn deliver_batch(&self, transport: &Arc<dyn Transport>) -> Result<u64, Error> {
        let claimed = self.claim().await?;
        let count = claimed.len() as u64;
        futures_util::future::join_all(claimed.into_iter().map(|message| self.deliver(transport, message)))
            .await;
        Ok(count)
    }

    /// Takes messages that are due for this worker alone. Should it die, they are due again when the claim runs out.
    async fn claim(&self) -> Result<Vec<outbox_message::Model>, Error> {
        let now = self.sources.now();
        let until = now + CLAIM;
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let skip = match transaction.get_database_backend() {
                        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
                        _ => "",
                    };
                    let sql = format!(
                        "UPDATE outbox_messages SET due_at = $1, attempts = attempts + 1 WHERE id IN (
                           SELECT id FROM outbox_messages WHERE state = 'pending' AND due_at <= $2
                           ORDER BY due_at LIMIT {BATCH} {skip}) RETURNING {}",
                        columns::<outbox_message::Entity>()
                    );
                    let values: [Value; 2] = [until.into(), now.into()];
                    let statement =
                        Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
                    let rows = transaction.query_all_raw(statement).await?;
                    rows.iter()
                        .map(|row| outbox_message::Model::from_query_result(row, "").map_err(Error::from))
                        .collect()
                })
            })
            .await
    }

    /// For the reaper.
    pub(super) async fn bring_mail_forward(&self) -> Result<(), Error> {
        self.bring_forward("outbox_messages", "state = 'pending'", vec![], LONGEST_WAIT).await
    }

    async fn deliver(&self, transport: &Arc<dyn Transport>, message: outbox_message::Model) {
        let sent = match self.open(&message) {
            Ok(Content::Mail { to, mail, locale }) => match self.compose(&message, &to, &mail, locale) {
                Ok(mail) => transport.send(&mail).await,
                Err(error) => Err(SendError { permanent: true, message: error }),
            },
            Ok(Content::ResendVerification { email_key, origin }) => {
                self.send_verification_again(&email_key, &origin).await.map_err(|error| passing(&error))
            }
            Ok(Content::ResetPassword { email_key, origin }) => {
                self.send_password_reset(&email_key, &origin).await.map_err(|error| passing(&error))
            }
            Err(error) => Err(error),
        };
        let (id, attempts) = (message.id, message.attempts);
        let now = self.sources.now();
        let update = outbox_message::Entity::update_many().filter(outbox_message::Column::Id.eq(id));
        let finish = |state: State| {
            outbox_message::Entity::update_many()
                .filter(outbox_message::Column::Id.eq(id))
                .col_expr(outbox_message::Column::State, Expr::value(state))
                .col_expr(outbox_message::Column::FinishedAt, Expr::value(now))
                .col_expr(outbox_message::Column::Sealed, Expr::value(None::<Vec<u8>>))
        };
        let update = match sent {
            Ok(()) => {
                metrics::counter!("latchkey_mail_sent_total").increment(1);
                finish(State::Sent).col_expr(outbox_message::Column::LastError, Expr::value(None::<String>))
            }
            Err(error) if error.permanent || attempts >= ATTEMPTS => {
                metrics::counter!("latchkey_mail_dead_total").increment(1);
                tracing::error!(message = %id, template = message.template, error = error.message, "mail given up");
                finish(State::Dead).col_expr(outbox_message::Column::LastError, Expr::value(error.message))
            }
            Err(error) => {
                metrics::counter!("latchkey_mail_retries_total").increment(1);
                let wait = back_off(attempts);
                tracing::warn!(message = %id, template = message.template, attempts, error = error.message,
                    again_in = wait.as_secs(), "mail not sent");
                update
                    .col_expr(outbox_message::Column::DueAt, Expr::value(now + wait))
                    .col_expr(outbox_message::Column::LastError, Expr::value(error.message))
            }
        };
        let stored: Result<(), Error> = self
            .db
            .write(move |transaction| {
                Box::pin(async move { update.exec(transaction).await.map(drop).map_err(Error::from) })
            })
            .await;
        if let Err(error) = stored {
            // It is due again when the claim runs out: a second copy under the same Message-ID, rather than none.
            tracing::warn!(?error, message = %id, "what became of a mail can't be stored");
        }
    }

    fn open(&self, message: &outbox_message::Model) -> Result<Content, SendError> {
        let lost = |message| SendError { permanent: true, message };
        let sealed = message.sealed.as_deref().ok_or_else(|| lost("the content is gone".into()))?;
        let plain = self.outbox.sealer.open(message.id.0.as_bytes(), sealed);
        read(&plain.map_err(|error| lost(error.to_string()))?)
    }

    fn compose(
        &self,
        message: &outbox_message::Model,
        to: &str,
        mail: &Mail,
        locale: Locale,
    ) -> Result<lettre::Message, String> {
        let from: Mailbox = self.config.mail_from.parse().map_err(|error| format!("mail_from: {error}"))?;
        // Stable, so that a copy sent after a crash is recognised as one.
        let message_id = format!("{}@{}", message.id, from.email.domain());
        let rendered = mail.render(&self.config.product_name, locale);
        compose(&rendered, &from, to, &message_id, date(message.created_at))
            .map_err(|error| error.to_string())
    }
}

/// What can't be read may have been written by a newer release beside this one, whose nodes can send it.
fn read(content: &[u8]) -> Result<Content, SendError> {
    serde_json::from_slice(content)
        .map_err(|error| SendError { permanent: false, message: format!("unreadable content: {error}") })
}

/// It may go better another time.
fn passing(error: &Error) -> SendError {
    SendError { permanent: false, message: format!("{error:?}") }
}

fn back_off(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

fn date(at: Timestamp) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_release_wrote_is_sent_in_english() {
        let mail = r#"{"Mail":{"to":"ada@example.com","mail":{"template":"password_changed","at":1795478400,
            "ip":"2001:db8::7","recovery_link":null}}}"#;
        let Ok(Content::Mail { to, mail, locale }) = read(mail.as_bytes()) else { panic!("not a mail") };
        assert_eq!(
            (to.as_str(), mail.template(), locale),
            ("ada@example.com", "password_changed", Locale::En)
        );

        let resend = r#"{"ResendVerification":{"email_key":"ada@example.com","origin":{"ip":"192.0.2.1",
            "user_agent":null,"request_id":"1"}}}"#;
        let Ok(Content::ResendVerification { origin, .. }) = read(resend.as_bytes()) else {
            panic!("no request")
        };
        assert_eq!(origin.language(None), None);
    }

    #[test]
    fn what_a_newer_release_wrote_is_left_for_it() {
        let mail =
            r#"{"Mail":{"to":"ada@example.com","mail":{"template":"written_tomorrow"},"locale":"fr"}}"#;
        assert!(
            read(mail.as_bytes()).is_err_and(|error| !error.permanent && !error.message.contains("ada@"))
        );
    }
}
