//! Command-line settings, all of the form `--name value`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

/// The settings given, by name; each command takes what it knows and then calls
/// [`Settings::finish`], so that a misspelt one is an error.
#[derive(Debug)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(crate) fn from_args(
        args: impl Iterator<Item = String>,
    ) -> Result<Settings, Box<dyn Error>> {
        let mut settings = BTreeMap::new();
        let mut args = args;
        while let Some(name) = args.next() {
            let Some(bare) = name.strip_prefix("--") else {
                return Err(format!("expected --name value, found {name}").into());
            };
            let value = args.next().ok_or_else(|| format!("{name} takes a value"))?;
            settings.insert(bare.to_owned(), value);
        }
        Ok(Settings(settings))
    }

    /// Takes a setting out, or `default` where it was not given.
    pub(crate) fn take<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, Box<dyn Error>>
    where
        T::Err: Display,
    {
        match self.0.remove(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|why| format!("--{name} {text}: {why}").into()),
        }
    }

    /// # Errors
    /// If a setting was given that the command does not know.
    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("unknown setting --{name}").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Box<dyn Error>> {
        Settings::from_args(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn takes_a_given_value_and_defaults_the_rest() {
        let mut settings = parse("--streams 12").unwrap();
        assert_eq!(settings.take("streams", 1).unwrap(), 12);
        assert_eq!(settings.take("port", 7u16).unwrap(), 7);
        settings.finish().unwrap();
    }

    #[test]
    fn refuses_what_no_command_takes() {
        assert!(parse("--streems 12").unwrap().finish().is_err());
        assert!(parse("streams 12").is_err());
        assert!(parse("--streams").is_err());
        assert!(parse("--streams x").unwrap().take("streams", 1).is_err());
    }
}
