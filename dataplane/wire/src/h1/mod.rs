//! HTTP/1.0 and HTTP/1.1 (RFC 9112).

mod chunked;
mod encode;
mod fields;
mod request;
mod response;

pub use chunked::{ChunkError, ChunkStep, ChunkedDecoder, chunk_head};
pub use encode::{put_field, put_number_field, put_request_line, put_status_line};
pub use request::parse_request;
pub use response::parse_response;

#[cfg(test)]
mod tests;
