//! Every bound of the origin, in one place. Connections are bounded by the runtime.

use std::time::Duration;

use wire::HeadLimits;

/// Of a request's head: 64 KiB, and as many fields as can be parsed.
pub(crate) const HEAD: HeadLimits =
    HeadLimits { head_bytes_max: 64 * 1024, fields_max: wire::limits::FIELDS_MAX as u16 };
/// Between two requests of a connection.
pub(crate) const IDLE: Duration = Duration::from_secs(75);
/// From the first byte of a head to its end.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(30);
/// Between two pieces of a request's body.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(60);
/// For a peer to take what is queued.
pub(crate) const SEND_TIME: Duration = Duration::from_secs(60);
/// Between two messages of a WebSocket.
pub(crate) const WEBSOCKET_IDLE: Duration = Duration::from_secs(600);
/// For a peer to close after we did.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes read and dropped meanwhile, so that the close does not reset what the peer still reads.
pub(crate) const LINGER_BYTES_MAX: usize = 16 << 20;
/// Bytes queued on one connection above which its writer waits.
pub(crate) const QUEUED_BYTES_MAX: usize = 128 * 1024;
/// Bytes queued in one go.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of a request's body where it is read whole.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of a body that nobody asked for and that are read to keep the connection.
pub(crate) const DISCARD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a body generated on the fly: 1 GiB.
pub(crate) const GENERATED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of one generated chunk.
pub(crate) const CHUNK_BYTES_MAX: u64 = 16 << 20;
/// Bytes that are sent one by one.
pub(crate) const DRIP_BYTES_MAX: u64 = 1 << 20;
/// Milliseconds of any delay a request may ask for: ten minutes.
pub(crate) const DELAY_MS_MAX: u64 = 600_000;
/// Events of one stream.
pub(crate) const EVENTS_MAX: u64 = 1 << 40;
/// Fields of an answer that a request may ask for.
pub(crate) const FIELDS_MAX: u64 = 1024;
/// Bytes of each of them.
pub(crate) const FIELD_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of all of them.
pub(crate) const ANSWER_HEAD_BYTES_MAX: u64 = 1 << 20;
/// Bytes of one WebSocket message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Choices of one completion (`n`), as of OpenAI.
pub(crate) const CHOICES_MAX: u64 = 128;
/// Bytes of all choices of one completion together.
pub(crate) const COMPLETION_BYTES_MAX: usize = 16 << 20;
/// Inputs of one embeddings request, as of OpenAI.
pub(crate) const EMBEDDING_INPUTS_MAX: usize = 2048;
/// Dimensions of one embedding.
pub(crate) const DIMENSIONS_MAX: u64 = 3072;
/// Numbers of all embeddings of one request together: about 12 MiB of JSON.
pub(crate) const EMBEDDING_NUMBERS_MAX: u64 = 1 << 20;
/// Before the first token of the model `slow`.
pub(crate) const SLOW_FIRST_TOKEN: Duration = Duration::from_secs(2);
