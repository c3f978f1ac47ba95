//! `${NAME}` inside a scalar takes an environment variable.
//!
//! A name is a letter or `_`, then letters, digits and `_`; what is between the braces otherwise, such as
//! the `${1}` of a substitution, stays as written. `$${` stands for a literal `${`. Values are taken as
//! they are and not expanded again.

use std::borrow::Cow;

/// The scalar with every variable replaced.
///
/// # Errors
/// The name of the first variable that is not set.
pub(crate) fn expand<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, &'t str> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = from.get(2..).unwrap_or("");
            continue;
        }
        out.push_str(before);
        match variable(from) {
            Some((name, after)) => {
                out.push_str(&env(name).ok_or(name)?);
                rest = after;
            }
            None => {
                out.push_str("${");
                rest = from.get(2..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The name in a text that begins with `${NAME}`, and what follows it.
fn variable(from: &str) -> Option<(&str, &str)> {
    let (name, after) = from.strip_prefix("${")?.split_once('}')?;
    let mut bytes = name.bytes();
    let is_name = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".into()),
            "NESTED" => Some("${PORT}".into()),
            _ => None,
        }
    }

    #[test]
    fn replaces_variables_and_nothing_else() {
        let cases = [
            ("127.0.0.1:${PORT}", "127.0.0.1:8080"),
            ("${PORT}${PORT}", "80808080"),
            ("${NESTED}", "${PORT}"),
            ("/x/${1}/$2", "/x/${1}/$2"),
            ("$${PORT}", "${PORT}"),
            ("${", "${"),
            ("${}", "${}"),
            ("plain $", "plain $"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_the_variable_that_is_not_set() {
        assert_eq!(expand("a ${PORT} ${MISSING}", &env), Err("MISSING"));
    }
}
