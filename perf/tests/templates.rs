//! The gateway's own template stays in step with the configuration's schema.

use std::path::Path;

#[test]
fn the_gateway_accepts_its_template_for_both_runtimes() {
    let template = include_str!("../peers/ringgate.yaml");
    for runtime in ["ring", "portable"] {
        let text = template
            .replace("$runtime", runtime)
            .replace("$port", "20000")
            .replace("$origin_port", "20001");
        let loaded = config::load(&text, "ringgate.yaml", &|_| None, Path::new("."));
        let problems: Vec<String> =
            loaded.err().into_iter().flatten().map(|problem| problem.to_string()).collect();
        assert!(problems.is_empty(), "{problems:#?}");
    }
}
