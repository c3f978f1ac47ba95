//! Tasks: they run, they share, they end.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::{Host, check, pair, pause, recv_exact, small_options};
use crate::{Chunk, Net, Stream, StreamExt};

/// A message posted by another thread wakes a task that waits for nothing else.
pub fn a_message_from_another_thread_wakes_its_reader<H: Host>(host: &'static H) {
    check(host, small_options(), async move |_: H::Net| {
        let (post, mut mailbox) = crate::mailbox::<u32>(4);
        let (answer, answers) = std::sync::mpsc::channel::<u32>();
        let sender = std::thread::spawn(move || {
            for message in 0..200 {
                if message % 20 == 0 {
                    // Long enough for the worker to be asleep in the kernel.
                    std::thread::sleep(Duration::from_millis(2));
                }
                post.post(message).unwrap();
                let echo = answers.recv_timeout(Duration::from_secs(10)).unwrap();
                assert_eq!(echo, message);
            }
        });
        for expected in 0..200 {
            let message = mailbox.take().await;
            assert_eq!(message, expected);
            answer.send(message).unwrap();
        }
        sender.join().unwrap();
    });
}

/// Tasks spawn tasks, and all of them run.
pub fn tasks_spawn_tasks<H: Host>(host: &'static H) {
    fn spawn_tree<N: Net>(net: &N, depth: u32, ran: &Rc<Cell<u32>>) {
        let (inner, ran) = (net.clone(), Rc::clone(ran));
        net.spawn(async move {
            ran.set(ran.get() + 1);
            if depth > 0 {
                spawn_tree(&inner, depth - 1, &ran);
                inner.sleep_until(inner.now()).await;
                spawn_tree(&inner, depth - 1, &ran);
            }
        });
    }
    check(host, small_options(), async move |net: H::Net| {
        let ran = Rc::new(Cell::new(0));
        spawn_tree(&net, 8, &ran);
        while ran.get() < 511 {
            pause(&net, 5).await;
        }
        pause(&net, 5).await;
        assert_eq!(ran.get(), 511);
        assert_eq!(net.counters().tasks_alive.value(), 0);
    });
}

/// A panic drops its task, counts, and leaves the others alone.
pub fn a_panic_ends_one_task_only<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        net.spawn(async move {
            server.send_copy(b"x");
            server.drained(1).await.unwrap();
            panic!("a panic on purpose");
        });
        assert_eq!(recv_exact(&client, 1).await.unwrap(), b"x");
        assert!(client.recv().await.unwrap().is_empty(), "the task's stream is dropped");
        assert_eq!(net.counters().tasks_panicked.value(), 1);
    });
}

/// A task that asks for its next turn again and again does not keep the worker to itself.
pub fn a_task_that_wakes_itself_lets_others_run<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let stop = Rc::new(Cell::new(false));
        net.spawn({
            let stop = Rc::clone(&stop);
            std::future::poll_fn(move |cx| {
                if stop.get() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        });
        net.spawn(async move {
            let bytes = recv_exact(&server, 1).await.unwrap();
            server.send_copy(&bytes);
            server.drained(1).await.unwrap();
        });
        client.send_copy(b"x");
        assert_eq!(recv_exact(&client, 1).await.unwrap(), b"x");
        pause(&net, 20).await;
        stop.set(true);
        pause(&net, 20).await;
        assert_eq!(net.counters().tasks_alive.value(), 0);
    });
}

/// A stream that always has bytes to receive and room to send shares the worker.
pub fn a_busy_stream_lets_others_run<H: Host>(host: &'static H) {
    check(host, small_options(), async move |net: H::Net| {
        let (sender, receiver) = pair(host, &net).await;
        let stop = Rc::new(Cell::new(false));
        let received = Rc::new(Cell::new(0));
        net.spawn({
            let stop = Rc::clone(&stop);
            async move {
                let page = bytes::Bytes::from(vec![0; 16 * 1024]);
                while !stop.get() {
                    sender.send(Chunk::from_bytes(page.clone()));
                    sender.drained(1).await.unwrap();
                }
            }
        });
        net.spawn({
            let received = Rc::clone(&received);
            async move {
                loop {
                    let chunk = receiver.recv().await.unwrap();
                    if chunk.is_empty() {
                        break;
                    }
                    received.set(received.get() + chunk.len());
                }
            }
        });
        let (client, server) = pair(host, &net).await;
        for _ in 0..20 {
            client.send_copy(b"x");
            assert_eq!(recv_exact(&server, 1).await.unwrap(), b"x");
        }
        while received.get() < 1024 * 1024 {
            pause(&net, 5).await;
        }
        stop.set(true);
        while net.counters().tasks_alive.value() > 0 {
            pause(&net, 5).await;
        }
    });
}

/// Tasks that wait for ever are dropped with the runtime, and what they hold with them.
pub fn the_end_of_main_drops_every_task<H: Host>(host: &'static H) {
    struct Witness(Rc<Cell<u32>>);
    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let count = Rc::clone(&dropped);
    check(host, small_options(), async move |net: H::Net| {
        let (client, server) = pair(host, &net).await;
        let (_post, mut mailbox) = crate::mailbox::<u32>(1);
        let tasks = [Witness(Rc::clone(&count)), Witness(Rc::clone(&count))];
        let [first, second] = tasks;
        net.spawn(async move {
            let _first = first;
            client.send_copy(b"x");
            let _ = client.recv().await;
            unreachable!("nobody answers");
        });
        net.spawn(async move {
            let _second = second;
            let _server = server;
            mailbox.take().await;
            unreachable!("nobody posts");
        });
        let third = Witness(count);
        let waiting = net.clone();
        net.spawn(async move {
            let _third = third;
            waiting.sleep_until(waiting.now() + Duration::from_secs(3600)).await;
        });
        pause(&net, 20).await;
        assert_eq!(net.counters().tasks_alive.value(), 3);
    });
    assert_eq!(dropped.get(), 3);
}
