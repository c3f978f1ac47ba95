//! Answers that no origin should give, and that a gateway must survive.

use net::Net;

use crate::answer::{Answer, Length};
use crate::connection::{Connection, Cut, Handled};

/// Answers at once, whatever of the request's body is still to come, and closes.
pub(crate) async fn early<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.start(&Answer::text(), Length::UntilClose);
    cx.data(b"answered before your body was read\n").await
}

/// No answer at all.
pub(crate) async fn reset<N: Net>(_: &mut Connection<N>) -> Handled {
    Err(Cut::Drop)
}

/// Half of the length announced.
pub(crate) async fn reset_body<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.start(&Answer::bytes(), Length::Fixed(1000));
    cx.pattern(0, 500).await?;
    Err(cx.break_off().await)
}

/// One chunk, and half of another.
pub(crate) async fn reset_chunked<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.start(&Answer::bytes(), Length::Stream);
    cx.pattern(0, 100).await?;
    if cx.has_body() {
        cx.raw(b"64\r\nhalf of a chunk").await?;
    }
    Err(cx.break_off().await)
}

/// Bytes that are no HTTP.
pub(crate) async fn garbage<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.raw(b"\x16\x03\x01 this is no HTTP \x00\xff\r\n\r\n").await
}

/// A length and chunks at once, which may be read in two ways (RFC 9112 §6.3).
pub(crate) async fn both_lengths<N: Net>(cx: &mut Connection<N>) -> Handled {
    cx.raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\n\r\n",
    )
    .await
}

/// A head of 160 KiB.
pub(crate) async fn large_head<N: Net>(cx: &mut Connection<N>) -> Handled {
    let mut head = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_vec();
    for index in 0..160 {
        head.extend_from_slice(format!("x-large-{index:03}: {:v<1010}\r\n", "").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    cx.raw(&head).await
}
