use super::*;
use std::path::Path;

fn told(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<String, ExplainError> {
    let text = include_str!("../../examples/complete.yaml");
    let document = crate::load(text, "complete.yaml", &|_| Some("8080".into()), Path::new("/etc"))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let snapshot = crate::compile(&document, 1, &mut crate::Slots::new()).unwrap();
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    explain(&snapshot, &Request { method, url, headers: &headers })
}

#[test]
fn tells_the_route_its_filters_upstreams_endpoints_and_timeouts() {
    let headers = [("x-beta", "1"), ("X-Trace", "t"), ("X-Client", "ios-9")];
    let text =
        told("GET", "http://shop.example.com:8080/cart/7?debug=1&lang=en", &headers).unwrap();
    for line in [
        "request   GET http://shop.example.com:8080/cart/7?debug=1&lang=en\n",
        "\nroute     cart: ",
        "\nfilter    header_edit: request set x-env, authorization, remove x-internal; \
         response add x-served-by\n",
        "\nfilter    path_rewrite: prefix /cart/ becomes /\n",
        "\nupstream  shop for 95 of 100 requests, maglev by header:x-cart\n",
        "\n  endpoint 192.0.2.10:8080 weight 3 zone east\n",
        "\n  endpoint shop.internal:8080 weight 1\n",
        "\n  endpoint unix:/etc/shop.sock weight 0\n",
        "\nupstream  shop-next for 5 of 100 requests, round_robin\n",
        "\ntimeouts  request 30s, first_byte 3s, idle 10m\n",
        "\nretries   1; upgrades refused\n",
        "\nhost      shop.internal:8080\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("Bearer"), "a credential is shown:\n{text}");
}

#[test]
fn tells_redirects_answers_and_their_absence() {
    let text = told("GET", "http://any/store/x", &[]).unwrap();
    let line = "redirect  301, scheme https, host www.example.com:8443, prefix /store/ becomes \
                /cart/, query dropped\n";
    assert!(text.contains(line), "{text}");
    let text = told("GET", "/tea", &[("Host", "any")]).unwrap();
    assert!(text.contains("\nrespond   418, 16 bytes of body\n"), "{text}");
    let text = told("GET", "http://any/none", &[]).unwrap();
    assert!(text.contains("\nroute     none matches: 404, reason no_route\n"), "{text}");
}

#[test]
fn refuses_what_is_no_request() {
    assert_eq!(told("GET", "ftp://any/", &[]), Err(ExplainError::UrlInvalid));
    assert_eq!(told("GET", "any", &[]), Err(ExplainError::UrlInvalid));
    assert_eq!(told("GET", "/path", &[]), Err(ExplainError::HostMissing));
    assert_eq!(told("GET", "http:///path", &[]), Err(ExplainError::HostMissing));
}

#[test]
fn the_host_is_the_authority_without_its_port() {
    for (url, host) in [
        ("http://a.example", "a.example"),
        ("http://a.example:80?x", "a.example"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[::1]/", "[::1]"),
    ] {
        let query = Query::new(&Request { method: "GET", url, headers: &[] }).unwrap();
        assert_eq!(query.host(), host.as_bytes(), "{url}");
        assert_eq!(query.path(), b"/", "{url}");
    }
}
