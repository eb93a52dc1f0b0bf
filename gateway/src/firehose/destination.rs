//! The one destination of a delivery stream, as a request gives it.

use catalog::{Destination, HttpTarget, S3Target};

use super::http_endpoint::{HttpEndpoint, HttpEndpointUpdate};
use super::s3::{Bucket, ExtendedBucket, ExtendedBucketUpdate, check_whole};
use crate::aws::Context;
use crate::exception::Exception;

/// Of a delivery stream that is made.
///
/// # Errors
/// InvalidArgument where there is not exactly one, or it may not be delivered to.
pub fn configured(
    context: &Context,
    bucket: Option<Bucket>,
    extended: Option<ExtendedBucket>,
    endpoint: Option<HttpEndpoint>,
) -> Result<Destination, Exception> {
    let destination = match (bucket, extended, endpoint) {
        (Some(bucket), None, None) => Destination::S3 { target: bucket.merged(None), backup: None },
        (None, Some(bucket), None) => {
            let (target, backup) = bucket.configured();
            Destination::S3 { target, backup }
        }
        (None, None, Some(endpoint)) => Destination::Http(endpoint.configured()),
        _ => return Err(not_one("configuration")),
    };
    served(context, destination)
}

/// Of a delivery stream that is changed: what is not said stays as it was, if it was of the same kind.
///
/// # Errors
/// As [`configured`]; InvalidArgument where another kind of destination is not given whole.
pub fn merged(
    context: &Context,
    old: &Destination,
    bucket: Option<Bucket>,
    extended: Option<ExtendedBucketUpdate>,
    endpoint: Option<HttpEndpointUpdate>,
) -> Result<Destination, Exception> {
    let (old_target, old_backup, old_endpoint) = parts(old);
    let destination = match (bucket, extended, endpoint) {
        (Some(bucket), None, None) => {
            Destination::S3 { target: bucket.merged(old_target), backup: old_backup.cloned() }
        }
        (None, Some(bucket), None) => {
            let (target, backup) = bucket.merged(old_target, old_backup).map_err(Exception::invalid)?;
            Destination::S3 { target, backup }
        }
        (None, None, Some(endpoint)) => Destination::Http(endpoint.merged(old_endpoint)),
        _ => return Err(not_one("update")),
    };
    let (target, backup, endpoint) = parts(&destination);
    let buckets = target.into_iter().chain(backup).chain(endpoint.map(|endpoint| &endpoint.backup));
    for bucket in buckets {
        check_whole(bucket).map_err(Exception::invalid)?;
    }
    if endpoint.is_some_and(|endpoint| endpoint.url.expose().is_empty()) {
        return Err(Exception::invalid(
            "EndpointConfiguration must be given: there is none that could be kept.",
        ));
    }
    served(context, destination)
}

/// The bucket, the one for the copies, and the endpoint.
fn parts(destination: &Destination) -> (Option<&S3Target>, Option<&S3Target>, Option<&HttpTarget>) {
    match destination {
        Destination::S3 { target, backup } => (Some(target), backup.as_ref(), None),
        Destination::Http(endpoint) => (None, None, Some(endpoint)),
    }
}

fn not_one(what: &str) -> Exception {
    Exception::invalid(format!("Exactly one destination {what} is supported for a Firehose."))
}

/// A destination that this server can deliver to.
fn served(context: &Context, destination: Destination) -> Result<Destination, Exception> {
    let deliveries = &context.app.deliveries;
    if let Destination::Http(endpoint) = &destination {
        deliveries.check_endpoint(endpoint.url.expose()).map_err(Exception::invalid)?;
    }
    // An HTTP endpoint has a bucket, too: for what it does not take.
    if deliveries.has_store() {
        return Ok(destination);
    }
    Err(Exception::invalid("This server was built without S3: use a build with the cargo feature s3."))
}
