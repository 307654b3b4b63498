//! The command line, with the options of `cargo test -- …`.

use std::{num::NonZero, thread, time::Duration};

/// The tests to run, and the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) filters: Vec<String>,
    pub(crate) skipped: Vec<String>,
    pub(crate) exact: bool,
    pub(crate) list: bool,
    /// `true` if only tests marked as ignored are wanted. There are none here.
    pub(crate) ignored: bool,
    pub(crate) show_output: bool,
    /// The number of tests to run at a time, if it was set.
    pub(crate) threads: Option<usize>,
    /// Time limit of each test.
    pub(crate) limit: Duration,
}

impl Arguments {
    /// # Errors
    ///
    /// The argument that is not understood.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            filters: Vec::new(),
            skipped: Vec::new(),
            exact: false,
            list: false,
            ignored: false,
            show_output: false,
            threads: None,
            limit: Duration::from_secs(180),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (option, value) = match argument.split_once('=') {
                Some((option, value)) if option.starts_with("--") => {
                    (option, Some(value.to_owned()))
                }
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                value.clone().or_else(|| arguments.next()).ok_or(format!("{option} wants a value"))
            };
            match option {
                "--exact" => parsed.exact = true,
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored = true,
                "--nocapture" | "--no-capture" => parsed.show_output = true,
                "--skip" => parsed.skipped.push(value()?),
                "--limit" => {
                    let seconds = value()?;
                    let seconds = seconds
                        .parse()
                        .map_err(|_| format!("--limit: {seconds:?} is no number of seconds"))?;
                    parsed.limit = Duration::from_secs(seconds);
                }
                "--test-threads" => {
                    let threads = value()?;
                    let number = threads.parse().ok().filter(|number| *number > 0);
                    let number =
                        number.ok_or(format!("--test-threads: {threads:?} is no number"))?;
                    parsed.threads = Some(number);
                }
                // The output is plain text with every value of these options.
                "--format" | "--color" | "-Z" => drop(value()?),
                "--include-ignored" | "--show-output" | "--quiet" | "-q" => {}
                _ if option.starts_with('-') => return Err(format!("unknown option {option}")),
                _ => parsed.filters.push(argument),
            }
        }
        Ok(parsed)
    }

    /// The number of tests to run at a time. Default: twice the number of processors, because most
    /// tests spend most of their time waiting. One if their output is shown as it is written.
    pub(crate) fn jobs(&self) -> usize {
        let usual = || match self.show_output {
            true => 1,
            false => 2 * thread::available_parallelism().map_or(1, NonZero::get),
        };
        self.threads.unwrap_or_else(usual)
    }

    /// Returns `true` if the test called `name` is selected.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let fits =
            |pattern: &String| if self.exact { name == pattern } else { name.contains(pattern) };
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skipped.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn filters_choose_by_part_or_whole() {
        let arguments = parse("http --skip v6 --test-threads=1 --limit 5").unwrap();
        assert!(
            arguments.wants("curl::http_v4")
                && !arguments.wants("curl::http_v6")
                && !arguments.wants("iperf")
        );
        assert_eq!(arguments.limit, Duration::from_secs(5));
        assert_eq!((arguments.jobs(), parse("--nocapture").unwrap().jobs()), (1, 1));
        assert_eq!(parse("--nocapture --test-threads 3").unwrap().jobs(), 3);
        let exact = parse("--exact http").unwrap();
        assert!(exact.wants("http") && !exact.wants("http2"));
        assert!(
            parse("").unwrap().wants("anything") && !parse("--ignored").unwrap().wants("anything")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(
            parse("--wrong").is_err()
                && parse("--skip").is_err()
                && parse("--limit soon").is_err()
                && parse("--test-threads 0").is_err()
        );
    }
}
