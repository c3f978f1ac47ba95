//! `ringgate demo`: the gateway in front of the built-in origin, on loopback, with commands to try.

use std::net::SocketAddr;
use std::time::Duration;

use control::Event;
use control::source::Source;
use net::{Address, BindOptions, BoundSocket};
use origin::Settings;

use crate::arguments::DemoOptions;
use crate::failure::Failure;
use crate::{origin_command, run};

/// Runs until Ctrl-C, or for as long as asked.
pub(crate) fn run(options: &DemoOptions) -> Result<(), Failure> {
    let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let bind = |at: &Address| {
        BoundSocket::bind(at, &BindOptions { reuse_port: false, ..BindOptions::default() })
            .map_err(|error| Failure::Host(format!("cannot listen on {at}: {error}")))
    };
    let origin = bind(&any)?;
    let origin_address = origin.address().clone();
    let settings = Settings { name: "demo".to_owned(), token_interval: Duration::from_millis(20) };
    let _thread = origin_command::serve(origin, settings)?;
    // Finds a free port for the admin interface; nobody else on loopback is likely to take it in
    // the instant until it is bound again.
    let admin_address = bind(&any)?.address().clone();
    let text = document(options.address, &admin_address, &origin_address);
    let (post, events) = net::mailbox(64);
    if let Some(after) = options.ends_after {
        let post = post.clone();
        std::thread::spawn(move || {
            std::thread::sleep(after);
            // A full mailbox or a closed one means that the end has come already.
            let _ = post.post(Event::Terminate);
        });
    }
    let source = Source::BuiltIn { name: "demo".to_owned(), text };
    let address = options.address;
    run::run(source, post, events, move |_| print_commands(address, &admin_address))
}

fn document(address: SocketAddr, admin: &Address, origin: &Address) -> String {
    format!(
        "admin: {{ address: \"{admin}\" }}
timeouts: {{ drain: 2s }}
listeners:
  - {{ name: web, address: \"{address}\" }}
upstreams:
  - name: origin
    endpoints: [ {{ address: \"{origin}\" }} ]
routes:
  - name: everything
    match: {{ path: {{ prefix: / }} }}
    backends: [ {{ upstream: origin }} ]
    timeouts: {{ idle: 1h }}
  - name: models
    match: {{ path: {{ prefix: /v1/ }} }}
    filters:
      - {{ filter: header_edit, response: {{ set: {{ x-served-by: ringgate }} }} }}
    backends: [ {{ upstream: origin }} ]
    timeouts: {{ first_byte: 60s, idle: 60s }}
  - name: moved
    match: {{ path: {{ exact: /old }} }}
    redirect: {{ status: 308, path: /hello }}
  - name: teapot
    match: {{ path: {{ exact: /tea }} }}
    respond: {{ status: 418, body: \"short and stout\\n\" }}
"
    )
}

fn print_commands(address: SocketAddr, admin: &Address) {
    println!(
        "Ringgate serves on http://{address}; admin on http://{admin}. Try:

  curl -i  http://{address}/hello
  curl -N  'http://{address}/sse?events=10&interval=200'
  curl -i  http://{address}/tea
  curl -sL http://{address}/old
  curl -N  http://{address}/v1/chat/completions -H 'content-type: application/json' \\
       -d '{{\"model\":\"demo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'
  curl -s  http://{admin}/metrics | grep ringgate_requests_total
  curl -s  'http://{admin}/explain?request=GET%20http://{address}/v1/models'

Ctrl-C drains and ends."
    );
    println!("\nThe origin knows these paths:\n");
    for (path, what) in origin::PATHS {
        println!("  {path:<34} {what}");
    }
}
