//! The second step of a sign-in, with a code.

use super::super::sessions::SignedIn;
use super::super::sessions::means::Means;
use super::super::{Error, Origin, Services};
use super::Code;
use crate::crypto::opaque_token::OpaqueToken;

impl Code {
    pub(super) fn means(&self) -> Means {
        match self {
            Self::Totp(_) => Means::Totp,
            Self::Recovery(_) => Means::RecoveryCode,
        }
    }

    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Recovery(_) => "recovery_code",
        }
    }
}

impl Services {
    /// Answers a ticket with a code. Of many right answers at once, one begins a session.
    pub async fn sign_in_with_code(
        &self,
        ticket: &str,
        code: Code,
        remember: bool,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        let token = OpaqueToken::parse(ticket).ok_or(Error::InvalidTicket)?;
        self.admit_answer(&token, origin).await?;
        let (services, origin) = (self.clone(), origin.clone());
        let answer: Result<SignedIn, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let mut ticket = services.take_ticket(transaction, &token).await?;
                    services.may_sign_in(&ticket.account)?;
                    match services.redeem(transaction, &mut ticket.account, &code, &origin).await? {
                        Ok(()) => {
                            let means = code.means();
                            services
                                .open_by_ticket(transaction, ticket, means, remember, &origin)
                                .await
                                .map(Ok)
                        }
                        Err(refusal) => {
                            services.refuse_answer(transaction, &ticket, code.method(), &origin).await?;
                            // What was counted stays counted.
                            Ok(Err(refusal))
                        }
                    }
                })
            })
            .await?;
        self.outbox.wake();
        answer
    }
}
