//! What the two operations on a stream's retention share.

use std::time::Duration;

use catalog::{Action, DataStreamUpdate};

use super::stream::{StreamRef, refused, retention_hours};
use crate::aws::Context;
use crate::exception::{Code, Exception};

/// Hours, from and to.
const LEAST: i64 = 24;
const MOST: i64 = 8760;

/// The exceptions of both.
pub const RETENTION_ERRORS: &[Code] = &[
    Code::ResourceInUse,
    Code::ResourceNotFound,
    Code::LimitExceeded,
    Code::InvalidArgument,
    Code::NotAuthorized,
];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Not below what it is.
    Increase,
    /// Not above what it is.
    Decrease,
}

/// Sets the retention.
///
/// # Errors
/// InvalidArgument outside of 24 to 8760 hours and the wrong way; ResourceNotFound; AccessDenied.
pub async fn change(context: &Context, stream: &StreamRef, hours: i64, way: Way) -> Result<(), Exception> {
    check_bounds(hours)?;
    let stream = stream.find_own(context, Action::Manage)?;
    let now = i64::try_from(retention_hours(&stream)).unwrap_or(i64::MAX);
    let name = &stream.name;
    let wrong = match way {
        Way::Increase => (hours < now).then_some("shorter"),
        Way::Decrease => (hours > now).then_some("longer"),
    };
    if let Some(wrong) = wrong {
        return Err(Exception::invalid(format!(
            "Requested retention period ({hours} hours) for stream {name} can not be {wrong} than existing \
             retention period ({now} hours)."
        )));
    }
    if hours == now {
        return Ok(());
    }
    let retention = Duration::from_hours(u64::try_from(hours).unwrap_or(0));
    let update = DataStreamUpdate::Retention(retention);
    let changed = context.app.catalog.update_data_stream(stream.id, update).await;
    changed.map(drop).map_err(|error| refused(&context.app, name, error))
}

fn check_bounds(hours: i64) -> Result<(), Exception> {
    if hours < LEAST {
        return Err(Exception::invalid(format!(
            "Minimum allowed retention period is {LEAST} hours. Requested retention period ({hours} hours) is too \
             short."
        )));
    }
    if hours > MOST {
        return Err(Exception::invalid(format!(
            "Maximum allowed retention period is {MOST} hours. Requested retention period ({hours} hours) is too \
             long."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_has_both_ends() {
        assert!(check_bounds(24).is_ok() && check_bounds(8760).is_ok());
        for bad in [i64::MIN, 0, 23, 8761, i64::MAX] {
            assert_eq!(check_bounds(bad).unwrap_err().code, Code::InvalidArgument, "{bad}");
        }
        assert_eq!(
            check_bounds(23).unwrap_err().message,
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."
        );
    }
}
