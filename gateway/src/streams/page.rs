//! Pages of lists: the token holds what it was made for and when.

use std::time::Duration;

use base::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::exception::{Code, Exception};
use crate::seal::Purpose;

/// How long a token is good.
const LIFE: Duration = Duration::from_secs(300);

#[derive(Serialize, Deserialize)]
struct Token<T> {
    made: Timestamp,
    place: T,
}

/// A token that leads on from a place in the list of this operation.
pub fn seal(app: &App, operation: &'static str, place: &impl Serialize) -> String {
    app.sealer.seal_page(Purpose::AwsPage(operation), &Token { made: app.clock.now(), place })
}

/// The place in a token.
///
/// # Errors
/// InvalidArgument where it is none of this operation's; ExpiredNextToken.
pub fn open<T: DeserializeOwned>(app: &App, operation: &'static str, token: &str) -> Result<T, Exception> {
    let opened: Option<Token<T>> = app.sealer.open_page(Purpose::AwsPage(operation), token);
    let Token { made, place } = opened.ok_or_else(|| Exception::invalid("Invalid NextToken."))?;
    let now = app.clock.now();
    if now.since(made) > LIFE {
        let text = format!(
            "NextToken expired. The NextToken was created at time {made} while right now it is {now} which is \
             further in the future than the tolerated delay of {} milliseconds.",
            LIFE.as_millis()
        );
        return Err(Exception::new(Code::ExpiredNextToken, text));
    }
    Ok(place)
}
