//! Shapes of `policy` and `filters` until those crates carry them.

/// Finds the route of a request.
#[derive(Default)]
pub struct RouteTable;
/// What edits a request and its response.
#[derive(Default)]
pub struct Chain;
/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceKind {
    /// In turn, by weight.
    RoundRobin,
    /// The better of two.
    P2c,
    /// The one with the fewest requests.
    LeastRequest,
    /// Any, by weight.
    Random,
    /// By consistent hash.
    Maglev,
}
