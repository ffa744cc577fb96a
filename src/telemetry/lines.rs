//! The lines of the log: for people, or JSON objects for machines.

use std::fs::File;
use std::io::IsTerminal as _;
use std::sync::Mutex;

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::{Layer, Registry, fmt};

use super::TelemetryError;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// For people.
    Text,
    /// A JSON object with `timestamp`, `level`, `target` and `fields`; what happened is the field
    /// `message`.
    Json,
}

/// Where lines go.
#[derive(Debug)]
pub enum LinesTo {
    /// The standard error, in colours if somebody looks.
    StandardError,
    /// A file.
    File(File),
}

/// Which lines there are, how they look, and where they go.
#[derive(Debug)]
pub struct Lines {
    /// How they look.
    pub format: LineFormat,
    /// Levels by target, as `RUST_LOG` has them elsewhere.
    pub filter: String,
    /// Where they go.
    pub to: LinesTo,
}

impl Lines {
    /// Lines of events. Spans pass it by: they are for traces.
    pub(super) fn layer(self) -> Result<Box<dyn Layer<Registry> + Send + Sync>, TelemetryError> {
        let Self { format, filter, to } = self;
        let wanted = EnvFilter::builder().parse(&filter);
        let wanted = wanted.map_err(|source| TelemetryError::Filter { filter, source })?;
        // The hint leaves it to the other one which levels there are at all.
        let events =
            filter_fn(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
        let wanted = wanted.and(events);
        let colours = matches!(to, LinesTo::StandardError)
            && std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none();
        let layer = fmt::layer().with_ansi(colours).with_writer(to.writer());
        Ok(match format {
            LineFormat::Text => layer.with_filter(wanted).boxed(),
            LineFormat::Json => {
                let layer = layer.json().with_current_span(false).with_span_list(false);
                layer.with_filter(wanted).boxed()
            }
        })
    }
}

impl LinesTo {
    fn writer(self) -> BoxMakeWriter {
        match self {
            Self::StandardError => BoxMakeWriter::new(std::io::stderr),
            Self::File(file) => BoxMakeWriter::new(Mutex::new(file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn lines(filter: &str, to: File) -> Result<impl tracing::Subscriber, TelemetryError> {
        let to = LinesTo::File(to);
        let lines = Lines { format: LineFormat::Json, filter: filter.into(), to };
        Ok(tracing_subscriber::registry().with(vec![lines.layer()?]))
    }

    #[test]
    fn a_span_is_not_made_where_only_lines_are_wanted_whatever_the_level() {
        for filter in ["info", "trace"] {
            let file = tempfile::tempfile().expect("a file");
            tracing::subscriber::with_default(lines(filter, file).expect("lines"), || {
                let span = tracing::info_span!("request", bytes = 7);
                assert!(span.is_disabled(), "{filter}");
            });
        }
    }

    #[test]
    fn a_line_is_an_object_with_time_level_target_and_fields() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let lines = lines("info", file.reopen().expect("the file")).expect("lines");
        tracing::subscriber::with_default(lines, || {
            tracing::warn!(partition = "t-0", bytes = 7, "two\nlines");
            tracing::debug!("too low");
        });
        let text = std::fs::read_to_string(file.path()).expect("text");
        let all: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let [line] = &all[..] else { panic!("one line: {text}") };
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert_eq!((&line["level"], &line["fields"]["bytes"]), (&"WARN".into(), &7.into()));
        assert_eq!(line["fields"]["message"], "two\nlines");
        assert_eq!(line["target"], module_path!());
    }

    #[test]
    fn a_filter_that_is_none_is_refused_with_an_example() {
        let file = tempfile::tempfile().expect("a file");
        let refused = lines("icecore=loud", file).map(drop).expect_err("no level").to_string();
        assert!(refused.contains("icecore::broker=debug"), "{refused}");
    }
}
