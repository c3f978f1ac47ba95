//! A WebSocket that echoes.

use net::Net;

use crate::connection::{Connection, Handled, Request};
use crate::plain;

pub(crate) async fn echo<N: Net>(cx: &mut Connection<N>, _: &Request) -> Handled {
    cx.discard_body().await?;
    plain::failure(cx, 426, "a WebSocket handshake is expected").await
}
