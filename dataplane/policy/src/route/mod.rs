//! Which route serves a request.
//!
//! The most specific match wins, whatever the order of declaration: exact host before the longest
//! wildcard before any host; within the host, exact path before regular expression before the
//! longest prefix before any path; then named methods, then the number of header conditions, then of
//! query conditions; declaration order decides between equals. If none of a host's routes matches,
//! the next less specific host is asked.

mod host;
mod matcher;
mod table;
#[cfg(test)]
mod tests;

pub use matcher::{HostPattern, PathPattern, RouteError, RouteMatch, ValuePattern};
pub use table::{Considered, RouteTable, RouteTableBuilder};

/// A request as the table asks about it.
pub trait RouteQuery {
    /// The authority without its port, in any case.
    fn host(&self) -> &[u8];
    /// The path, without the query.
    fn path(&self) -> &[u8];
    /// The method.
    fn method(&self) -> &[u8];
    /// What follows the `?`.
    fn query(&self) -> Option<&[u8]>;
    /// The first field of this name, which is given in lower case.
    fn header(&self, lower_name: &[u8]) -> Option<&[u8]>;
}
