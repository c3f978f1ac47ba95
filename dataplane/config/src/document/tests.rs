use super::*;
use proptest::prelude::*;

const COMPLETE: &str = include_str!("../../examples/complete.yaml");

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("8080".into()),
        "WORD" => Some("several".into()),
        "TOKEN" => Some("c2VjcmV0".into()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Document, Vec<Diagnostic>> {
    load(text, "test.yaml", &env, Path::new("/etc/ringgate"))
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn each_broken_file_shows_every_problem_at_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 10);
    let renew = std::env::var_os("RINGGATE_RENEW_EXPECTED").is_some();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        let Err(problems) = load(&text, &name, &env, Path::new("/etc/ringgate")) else {
            panic!("{name} was accepted");
        };
        let expected = file.with_extension("expected");
        if renew {
            std::fs::write(&expected, shown(&problems)).unwrap();
        }
        assert_eq!(shown(&problems), std::fs::read_to_string(&expected).unwrap(), "{name}");
    }
}

#[test]
fn the_complete_example_is_accepted() {
    let document = read(COMPLETE).map_err(|problems| shown(&problems)).unwrap();
    assert_eq!(document.plan.routes.len(), 6);
}

/// A text with one or a few bytes replaced, removed or doubled.
fn mutated(changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = COMPLETE.as_bytes().to_vec();
    for (at, how, byte) in changes {
        let at = at.index(bytes.len());
        match how % 4 {
            0 => bytes[at] = *byte,
            1 => {
                bytes.remove(at);
            }
            2 => bytes.insert(at, *byte),
            _ => bytes.truncate(at + 1),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_mutation_of_a_good_file_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..6)
    ) {
        let bytes = mutated(&changes);
        let text = String::from_utf8_lossy(&bytes);
        match read(&text) {
            Ok(document) => {
                let _ = crate::compile(&document, 1, &mut crate::Slots::new());
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                let lines = u32::try_from(text.lines().count().max(1)).unwrap();
                for problem in &problems {
                    prop_assert!((1..=lines + 1).contains(&problem.line), "{problem}");
                }
            }
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn no_heap_of_yaml_tokens_panics(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ":", ": ", "- ", "\n", "\n  ", "? ", ", ", "#", "&a", "*a", "!t",
                "\"", "'", "|", ">", "---", "...", "%", "\t", "routes", "\u{feff}", "\\u", "é",
            ]),
            0..60,
        )
    ) {
        let _ = read(&tokens.concat());
    }
}

#[test]
fn every_truncation_gets_an_answer() {
    for (at, _) in COMPLETE.char_indices() {
        let _ = read(&COMPLETE[..at]);
    }
}

#[test]
fn nesting_is_bounded_in_depth_and_cost() {
    for text in ["[".repeat(1 << 20), "{a: ".repeat(1 << 18), "- ".repeat(1 << 19)] {
        let started = std::time::Instant::now();
        let Err(problems) = read(&text) else { panic!("accepted") };
        assert_eq!(problems.len(), 1);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}

#[test]
fn a_document_above_the_bound_is_refused_unread() {
    let text = format!("#{}", "x".repeat(tree::DOCUMENT_BYTES_MAX));
    let Err(problems) = read(&text) else { panic!("accepted") };
    assert_eq!(
        shown(&problems),
        "test.yaml:1:1: the document has 16777217 bytes; expected at most 16777216\n"
    );
}

#[test]
fn problems_beyond_the_bound_are_counted() {
    let text: String = (0..1_500).map(|n| format!("x{n}: 1\n")).collect();
    let Err(problems) = read(&text) else { panic!("accepted") };
    assert_eq!(problems.len(), 1_001);
    // One more than the fields: there are no listeners.
    assert_eq!(problems[1_000].what, "501 further problems are not listed");
}

#[test]
fn the_document_shown_keeps_variables_and_hides_credentials() {
    let document = read(COMPLETE).map_err(|problems| shown(&problems)).unwrap();
    assert!(document.text().contains("\"0.0.0.0:${PORT}\""));
    assert!(!document.text().contains("c2VjcmV0"));
    let masked = "set: { X-Env: prod, authorization: \"***\" }, remove";
    assert!(document.text().contains(masked), "{}", document.text());
    let literal = "listeners: [ { name: é, address: '0.0.0.0:1' } ]".replace('é', "e")
        + "\n# é ü 漢\nroutes:\n- name: r\n  filters:\n  - filter: header_edit\n    request:\n"
        + "      set:\n        Cookie: |\n          a=b\n        x-env: prod\n"
        + "  respond: { headers: { set-cookie: 's=secret; Path=/', x-a: b } }\n";
    let literal = literal.replace("|\n          a=b\n", "a=hidden\n");
    let document = read(&literal).map_err(|problems| shown(&problems)).unwrap();
    assert!(!document.text().contains("hidden") && !document.text().contains("secret"));
    assert!(
        document.text().contains("Cookie: \"***\"\n        x-env: prod"),
        "{}",
        document.text()
    );
    assert!(document.text().contains("set-cookie: \"***\", x-a: b"), "{}", document.text());
}

#[test]
fn json_is_accepted_with_tabs_and_surrogates() {
    let text = "{\n\t\"listeners\": [\n\t\t{\"name\":\"web\",\t\"address\":\"127.0.0.1:8080\"}\n\t],\n\
                \t\"routes\": [{\"name\":\"r\",\"respond\":{\"body\":\"a\\tb\\ud83d\\ude00\\u0041\\/\"}}]\n}\n";
    let document = read(text).map_err(|problems| shown(&problems)).unwrap();
    let Action::Respond(respond) = &document.plan.routes[0].action else { panic!("another") };
    assert_eq!(respond.body, "a\tb😀A/".as_bytes());
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let text = "listeners: [ { name: web, address: '0.0.0.0:80' } ]\n\
                upstreams: [ { name: app, endpoints: [ { address: 'app:80' } ] } ]\n\
                routes: [ { name: all, backends: [ { upstream: app } ] } ]\n";
    let document = read(text).map_err(|problems| shown(&problems)).unwrap();
    let snapshot = crate::compile(&document, 7, &mut crate::Slots::new()).unwrap();
    assert_eq!(snapshot.generation, 7);
    assert_eq!((snapshot.runtime, snapshot.workers), (RuntimeChoice::Auto, WorkerCount::Auto));
    assert_eq!(snapshot.limits.connections, 1_000_000);
    assert_eq!(snapshot.limits.buffered_bytes, 512 << 20);
    assert_eq!((snapshot.admin, snapshot.access_log), (None, None));
    let listener = &snapshot.listeners[0];
    let limits = listener.limits;
    assert_eq!((limits.connections, limits.head_bytes, limits.fields), (100_000, 32 << 10, 128));
    assert_eq!(limits.body_bytes, 1 << 30);
    let timeouts = listener.timeouts;
    let seconds = [timeouts.head, timeouts.body, timeouts.send, timeouts.keepalive];
    assert_eq!(seconds.map(|timeout| timeout.as_secs()), [10, 60, 60, 75]);
    assert!(listener.via && listener.request_id && !listener.forwarded.trust);
    let upstream = &snapshot.upstreams[0];
    assert_eq!(upstream.timeouts.connect, Duration::from_secs(5));
    assert_eq!(upstream.keepalive.idle_per_worker, 64);
    assert_eq!((upstream.limits.connections, upstream.limits.pending), (65_535, 1_024));
    assert_eq!(upstream.endpoints[0].weight, 1);
    let route = &snapshot.routes[0];
    assert_eq!((route.retries, route.upgrade, route.body_bytes), (2, true, None));
    assert_eq!(route.timeouts.request, None);
    assert_eq!(route.timeouts.first_byte, Duration::from_secs(60));
    assert_eq!(route.timeouts.idle, Duration::from_secs(300));
}
