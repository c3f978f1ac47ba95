//! Errors in OpenAI's dialect.

use net::Net;
use serde_json::json;

use crate::answer::Answer;
use crate::connection::{Connection, Handled};

/// A refusal: `{"error":{"message","type","param","code"}}` with its status.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    message: String,
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

const INVALID: &str = "invalid_request_error";

impl ApiError {
    pub(super) fn invalid(message: &str, param: Option<&'static str>) -> ApiError {
        ApiError { status: 400, message: message.to_owned(), kind: INVALID, param, code: None }
    }

    pub(super) fn missing(param: &'static str) -> ApiError {
        ApiError {
            code: Some("missing_required_parameter"),
            ..ApiError::invalid(&format!("Missing required parameter: '{param}'."), Some(param))
        }
    }

    pub(super) fn not_json(error: &serde_json::Error) -> ApiError {
        ApiError::invalid(
            &format!("We could not parse the JSON body of your request: {error}"),
            None,
        )
    }

    pub(super) fn too_large() -> ApiError {
        ApiError { status: 413, ..ApiError::invalid("the body is larger than 8 MiB", None) }
    }

    pub(super) fn no_model(model: &str) -> ApiError {
        ApiError {
            status: 404,
            code: Some("model_not_found"),
            ..ApiError::invalid(&format!("The model `{model}` does not exist."), Some("model"))
        }
    }

    pub(super) fn no_path() -> ApiError {
        ApiError {
            status: 404,
            code: Some("unknown_url"),
            ..ApiError::invalid("Unknown URL", None)
        }
    }

    pub(super) fn method() -> ApiError {
        ApiError { status: 405, ..ApiError::invalid("Only POST is served here", None) }
    }

    /// What a provider says with that status.
    pub(super) fn of_status(status: u16) -> ApiError {
        let (message, kind, code) = match status {
            401 => ("Incorrect API key provided", INVALID, Some("invalid_api_key")),
            429 => ("Rate limit reached", "requests", Some("rate_limit_exceeded")),
            503 => ("The engine is currently overloaded", "server_error", Some("overloaded")),
            500.. => ("The server had an error", "server_error", None),
            _ => ("The request was refused", INVALID, None),
        };
        ApiError { status, message: message.to_owned(), kind, param: None, code }
    }

    pub(super) async fn answer<N: Net>(self, cx: &mut Connection<N>) -> Handled {
        let mut answer = Answer::json(self.status);
        if matches!(self.status, 429 | 503) {
            answer = answer.field("retry-after", b"1");
        }
        if self.status == 405 {
            answer = answer.field("allow", b"POST");
        }
        let body = json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }});
        cx.answer(answer, body.to_string().as_bytes()).await
    }
}
