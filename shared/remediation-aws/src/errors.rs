//! What an SDK error asks for.

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use remediation::failure::{Class, Failure};

/// The failure of `operation`, written `service:Operation`.
pub fn classify<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E, HttpResponse>) -> Failure {
    let failure = |class, code: &str, message: &str| Failure::new(class, operation, code, message);
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("Unknown");
            let message = service.err().message().unwrap_or("no message");
            failure(class_of(code, service.raw().status().as_u16()), code, message)
        }
        SdkError::TimeoutError(_) => failure(Class::Transient, "Timeout", "no answer in time"),
        SdkError::DispatchFailure(dispatch) => {
            let cause = dispatch
                .as_connector_error()
                .map_or_else(|| "not sent".to_owned(), ToString::to_string);
            failure(Class::Transient, "DispatchFailure", &cause)
        }
        SdkError::ResponseError(_) => failure(Class::Transient, "UnreadableAnswer", "the answer could not be read"),
        SdkError::ConstructionFailure(_) => {
            failure(Class::Permanent, "InvalidRequest", "the request could not be built")
        }
        _ => failure(Class::Transient, "Unknown", "unknown SDK error"),
    }
}

/// `None` where the service says, by this code, that there is no such thing.
///
/// # Errors
/// Everything else that the service answers.
pub fn found<T, E: ProvideErrorMetadata>(
    operation: &str,
    none: &str,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some(none) => Ok(None),
        Err(error) => Err(classify(operation, &error)),
    }
}

/// An answer that the service is not known to give.
pub fn unexpected(operation: &str, problem: impl Into<String>) -> Failure {
    Failure::new(Class::Permanent, operation, "UnexpectedAnswer", problem)
}

/// Somebody wrote between the look that a plan was made from and the write.
#[must_use]
pub fn changed_meanwhile(operation: &str) -> Failure {
    let why = "somebody has changed it since it was read";
    Failure::new(Class::Conflict, operation, "ChangedMeanwhile", why)
}

fn class_of(code: &str, status: u16) -> Class {
    match code {
        "WAFOptimisticLockException"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ConcurrentModificationException"
        | "ConcurrentModification"
        | "OperationAborted"
        | "ConflictException" => Class::Conflict,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException" => Class::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessException"
        | "SignatureDoesNotMatch" => Class::Denied,
        // Lambda renews its credentials; the next try has new ones.
        "EntityTemporarilyUnmodifiable"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeout" => Class::Transient,
        "WAFInternalErrorException" | "InternalServerError" | "InternalException" | "ServiceUnavailable" => {
            Class::Transient
        }
        _ if status == 429 => Class::Throttled,
        _ if status == 401 || status == 403 => Class::Denied,
        _ if status >= 500 => Class::Transient,
        _ => Class::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_and_unknown_ones() {
        for (code, status, class) in [
            ("WAFOptimisticLockException", 400, Class::Conflict),
            ("OperationAborted", 409, Class::Conflict),
            ("ThrottlingException", 400, Class::Throttled),
            ("AccessDeniedException", 400, Class::Denied),
            ("WAFInvalidParameterException", 400, Class::Permanent),
            ("WAFLimitsExceededException", 400, Class::Permanent),
            ("WAFNonexistentItemException", 400, Class::Permanent),
            ("Anything", 503, Class::Transient),
            ("Anything", 429, Class::Throttled),
            ("Anything", 403, Class::Denied),
            ("Anything", 400, Class::Permanent),
        ] {
            assert_eq!(class_of(code, status), class, "{code} {status}");
        }
    }
}
