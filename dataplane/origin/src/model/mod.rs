//! The OpenAI-shaped model server.

use net::Net;

use crate::connection::{Connection, Handled, Request};
use crate::plain;

pub(crate) async fn handle<N: Net>(cx: &mut Connection<N>, _: &Request) -> Handled {
    cx.discard_body().await?;
    plain::failure(cx, 404, "no such path").await
}
