use entities::account::{self, Role};
use latchkey::entropy::Entropy;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{App, User};

impl App {
    /// Somebody with a role, signed in with two factors just now. Each has an address of their own.
    pub async fn staff(&self, role: Role) -> User {
        let number = u32::from_le_bytes(Entropy.bytes());
        let mut user = self.user(&format!("{}-{number}@example.com", role.name())).await;
        user.add_totp("Phone", self.now()).await;
        self.set_role(&user, role).await;
        user
    }

    /// Gives a role behind the server's back.
    pub async fn set_role(&self, user: &User, role: Role) {
        account::Entity::update_many()
            .col_expr(account::Column::Role, Expr::value(role))
            .filter(account::Column::Id.eq(user.id.parse::<entities::AccountId>().unwrap()))
            .exec(self.connection().await)
            .await
            .unwrap();
    }
}
