//! Out of descriptors, accepting waits and goes on. A process of its own, because the limit is one
//! of the whole process.

use std::cell::RefCell;
use std::fs::File;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use net::portable::{Driver, PortableNet, Runtime};
use net::{Address, BindOptions, BoundSocket, Net, Options};

const CLIENTS: usize = 12;

#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_them() {
    let runtime = Runtime::new(Options::default(), Driver::Legacy).unwrap();
    runtime.run(|net: PortableNet| async move {
        let loopback = Address::Tcp(([127, 0, 0, 1], 0).into());
        let socket = BoundSocket::bind(&loopback, &BindOptions::default()).unwrap();
        let Address::Tcp(at) = *socket.address() else { panic!("a TCP address was asked for") };
        let listener = net.listen(socket).unwrap();
        let clients: Vec<TcpStream> =
            (0..CLIENTS).map(|_| TcpStream::connect(at).unwrap()).collect();
        let free = 4;
        limit_descriptors(64);
        let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - free);

        let accepted = Rc::new(RefCell::new(Vec::new()));
        net.spawn({
            let (net, accepted) = (net.clone(), Rc::clone(&accepted));
            async move {
                for _ in 0..CLIENTS {
                    let (incoming, _) = net.accept(&listener).await.unwrap();
                    accepted.borrow_mut().push(net.open(incoming).unwrap());
                }
            }
        });
        let begun = net.now();
        while net.counters().accept_paused.value() < 3 {
            net.sleep_until(net.now() + Duration::from_millis(10)).await;
        }
        assert!(net.now().since(begun) >= Duration::from_millis(100), "it paused, not spun");
        assert!(accepted.borrow().len() <= free);
        while net.counters().accepts.value() < CLIENTS as u64 {
            accepted.borrow_mut().pop();
            net.sleep_until(net.now() + Duration::from_millis(10)).await;
        }
        accepted.borrow_mut().clear();
        assert_eq!(net.counters().streams_open.value(), 0);
        drop((clients, taken));
    });
}

fn limit_descriptors(count: usize) {
    let limit = libc::rlimit { rlim_cur: count as u64, rlim_max: count as u64 };
    // SAFETY: `limit` is valid for the call. std cannot set limits.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(set, 0);
}
