use super::{App, Engine};

/// What a behavioural test starts with: the engine, or a server on it with the defaults of [`App::start`].
pub trait On: Sized {
    fn on(engine: Engine) -> impl Future<Output = Self>;
}

impl On for Engine {
    async fn on(engine: Engine) -> Self {
        engine
    }
}

impl On for App {
    async fn on(engine: Engine) -> Self {
        Self::start(engine, |_| {}).await
    }
}

/// Runs each test as two: `name::sqlite` and `name::postgres`.
macro_rules! on_both_engines {
    ($($(#[$doc:meta])* async fn $name:ident($argument:ident: $what:ty) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "some tests need nothing of their file")]
            use super::*;

            async fn test($argument: $what) $body

            #[tokio::test]
            async fn sqlite() {
                test(<$what as $crate::support::On>::on($crate::support::Engine::Sqlite).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                test(<$what as $crate::support::On>::on($crate::support::Engine::Postgres).await).await;
            }
        }
    )*};
}
