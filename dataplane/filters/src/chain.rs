//! Filters in the order of their stages.

use crate::normalize::{header_edit, path_rewrite};
use crate::{Edits, RequestView, ResponseView};

/// When a filter runs. Requests pass the stages downwards, answers upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The request is brought into the form the upstream expects.
    Normalize,
}

/// One feature of the gateway: pure. What it wants changed it writes into the edits.
pub trait Filter: Send + Sync {
    /// Its name in the configuration; never changes once released.
    fn name(&self) -> &'static str;

    /// When it runs.
    fn stage(&self) -> Stage;

    /// Sees a request's head.
    fn on_request(&self, _request: &RequestView<'_>, _edits: &mut Edits) {}

    /// Sees the head of an answer.
    fn on_response(&self, _response: &ResponseView<'_>, _edits: &mut Edits) {}
}

/// Names of all filters, as the configuration knows them.
pub const NAMES: &[&str] = &[header_edit::NAME, path_rewrite::NAME];

/// A filter as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterConfig {
    /// See [`header_edit`].
    HeaderEdit(header_edit::Config),
    /// See [`path_rewrite`].
    PathRewrite(path_rewrite::Config),
}

/// Why a filter cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Not a field name.
    #[error("`{0}` is not a header name")]
    Name(String),
    /// A field that frames the message or concerns one connection.
    #[error("the header `{0}` is managed by the gateway and cannot be edited")]
    Managed(String),
    /// A value with line breaks or control characters.
    #[error("the value of `{0}` holds characters that no header may have")]
    Value(String),
    /// Not a path.
    #[error("`{0}` does not begin with `/`")]
    Path(String),
    /// Not a regular expression.
    #[error("the regular expression `{pattern}` is invalid: {problem}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The filters of one route.
#[derive(Default)]
pub struct Chain {
    filters: Vec<Box<dyn Filter>>,
}

impl Chain {
    /// Compiles filters.
    ///
    /// # Errors
    /// The place of the filter that cannot be compiled, and why.
    pub fn compile(configs: &[FilterConfig]) -> Result<Chain, (usize, FilterError)> {
        let mut filters: Vec<Box<dyn Filter>> = Vec::with_capacity(configs.len());
        for (place, config) in configs.iter().enumerate() {
            let at_place = |error| (place, error);
            filters.push(match config {
                FilterConfig::HeaderEdit(config) => {
                    Box::new(header_edit::HeaderEdit::compile(config).map_err(at_place)?)
                }
                FilterConfig::PathRewrite(config) => {
                    Box::new(path_rewrite::PathRewrite::compile(config).map_err(at_place)?)
                }
            });
        }
        filters.sort_by_key(|filter| filter.stage());
        Ok(Chain { filters })
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Names of the filters in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.filters.iter().map(|filter| filter.name())
    }

    /// Lets every filter see the request.
    pub fn on_request(&self, request: &RequestView<'_>, edits: &mut Edits) {
        for filter in &self.filters {
            filter.on_request(request, edits);
        }
    }

    /// Lets every filter see the answer, the last first.
    pub fn on_response(&self, response: &ResponseView<'_>, edits: &mut Edits) {
        for filter in self.filters.iter().rev() {
            filter.on_response(response, edits);
        }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
