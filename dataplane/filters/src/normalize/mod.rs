//! Stage *normalize*: the request is brought into the form the upstream expects.

pub mod header_edit;
pub mod path_rewrite;
