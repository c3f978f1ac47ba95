//! The built-in web origin and OpenAI-shaped model server.
//!
//! Answers every kind of response a gateway meets, the broken ones included, so that a demo, a
//! test or a load run needs no other server. Written against [`net::Net`], so it runs on every
//! runtime.

mod answer;
mod body;
mod broken;
mod connection;
mod limits;
mod model;
mod paths;
mod plain;
mod query;
mod stream;
mod websocket;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use net::{BoundSocket, Net};

pub use paths::PATHS;

/// How an origin presents itself and how fast its model speaks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The label sent as `X-Origin` and shown on the index; characters that no field value may
    /// have are left out.
    pub name: String,
    /// The delay between two tokens of a streamed answer.
    pub token_interval: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { name: "origin".to_owned(), token_interval: Duration::from_millis(20) }
    }
}

/// Serves on all sockets until the future is dropped, or until none of them can accept any more.
/// Connections open at that time go on until the runtime ends.
pub async fn serve<N: Net>(net: N, sockets: Vec<BoundSocket>, mut settings: Settings) {
    settings.name.retain(|c| c == ' ' || c.is_ascii_graphic());
    let settings = Rc::new(settings);
    let mut accepting: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for socket in sockets {
        accepting.push(Box::pin(accept(net.clone(), socket, Rc::clone(&settings))));
    }
    poll_fn(|cx| {
        accepting.retain_mut(|accept| accept.as_mut().poll(cx).is_pending());
        if accepting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn accept<N: Net>(net: N, socket: BoundSocket, settings: Rc<Settings>) {
    let Ok(listener) = net.listen(socket) else { return };
    while let Ok((incoming, _)) = net.accept(&listener).await {
        // A full table refuses the connection by dropping it; the next one may find room.
        if let Ok(stream) = net.open(incoming) {
            net.spawn(connection::run(net.clone(), stream, Rc::clone(&settings)));
        }
    }
}
