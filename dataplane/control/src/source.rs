//! Where the configuration comes from.

use std::path::{Path, PathBuf};

use config::{DOCUMENT_BYTES_MAX, Diagnostic, Document};

/// A source of documents.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, read again on SIGHUP.
    File(PathBuf),
    /// A document that the program brings along, with a name for messages.
    BuiltIn {
        /// Shown in place of a file name.
        name: String,
        /// The document.
        text: String,
    },
}

impl Source {
    /// The name shown in messages.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::BuiltIn { name, .. } => name.clone(),
        }
    }

    /// Reads and checks the document as it is now.
    ///
    /// # Errors
    /// Every problem of the document, or one that says why it cannot be read.
    pub fn load(&self) -> Result<Document, Vec<Diagnostic>> {
        match self {
            Source::File(path) => {
                let text = read(path).map_err(|what| vec![unreadable(self, what)])?;
                self.check(&text)
            }
            Source::BuiltIn { text, .. } => self.check(text),
        }
    }

    /// Checks a text as if it had come from this source: relative paths are counted from where the
    /// source lies, variables are those of the process.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn check(&self, text: &str) -> Result<Document, Vec<Diagnostic>> {
        let env = |name: &str| std::env::var(name).ok();
        config::load(text, &self.name(), &env, &self.folder())
    }

    fn folder(&self) -> PathBuf {
        let folder = match self {
            Source::File(path) => path.parent().map(Path::to_owned),
            Source::BuiltIn { .. } => None,
        };
        folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| ".".into())
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > DOCUMENT_BYTES_MAX as u64 {
        return Err(format!("the file has {size} bytes, more than {DOCUMENT_BYTES_MAX}"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

fn unreadable(source: &Source, what: String) -> Diagnostic {
    Diagnostic {
        file: source.name(),
        line: 1,
        column: 1,
        what: format!("cannot be read: {what}"),
        expected: "a configuration file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_one_problem_with_its_name() {
        let source = Source::File("/nowhere/ringgate.yaml".into());
        let problems = source.load().err().unwrap();
        let shown = problems[0].to_string();
        assert!(shown.starts_with("/nowhere/ringgate.yaml:1:1: cannot be read: "), "{shown}");
    }

    #[test]
    fn a_built_in_document_is_checked_like_a_file() {
        let text = "listeners: [ { name: a, adress: \"127.0.0.1:0\" } ]".to_owned();
        let source = Source::BuiltIn { name: "demo".to_owned(), text };
        let problems = source.load().err().unwrap();
        assert!(problems.iter().any(|p| p.to_string().starts_with("demo:1:")), "{problems:?}");
    }
}
