//! The table of results.

use std::fmt;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use crate::measure::Spread;
use crate::peer::Unavailable;

/// One result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) case: String,
    pub(crate) unit: &'static str,
    pub(crate) subject: Spread,
    /// The peer and its figure.
    pub(crate) peer: Option<(String, Spread)>,
    pub(crate) bar: Option<Bar>,
}

/// The target of a row.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Bar {
    /// The minimum of the subject's figure divided by the peer's.
    RatioAtLeast(f64),
    /// The maximum of the subject's figure divided by the peer's.
    RatioAtMost(f64),
    /// The maximum of the subject's figure, for counts and sizes that do not depend on the
    /// machine's speed.
    AtMost(f64),
}

/// All results.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Row {
    /// The row for a case that could not be measured at all.
    pub(crate) fn unavailable(group: &'static str, case: &str, reason: &Unavailable) -> Self {
        Self {
            group,
            case: format!("{case} ({reason})"),
            unit: "",
            subject: Spread::unknown(),
            peer: None,
            bar: None,
        }
    }

    /// `None` without a peer, or if one of the two could not be measured.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let ratio = self.subject.median / self.peer.as_ref()?.1.median;
        ratio.is_finite().then_some(ratio)
    }

    fn holds(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::RatioAtLeast(bar) => self.ratio()? >= bar,
            Bar::RatioAtMost(bar) => self.ratio()? <= bar,
            Bar::AtMost(bar) => self.subject.median <= bar,
        })
    }
}

impl Report {
    pub(crate) fn extend(&mut self, rows: Vec<Row>) {
        self.0.extend(rows);
    }

    /// Returns `true` if no bar is missed.
    pub(crate) fn holds(&self) -> bool {
        self.0.iter().all(|row| row.holds() != Some(false))
    }

    pub(crate) fn write_json(&self, path: &Path) -> std::io::Result<()> {
        serde_json::to_writer_pretty(File::create(path)?, &self.0)?;
        Ok(())
    }
}

/// Prints a Markdown table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| group | case | ours | peer | ratio | bar | holds |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.0 {
            write!(f, "| {} | {} | {} {} |", row.group, row.case, row.subject, row.unit)?;
            match &row.peer {
                Some((name, figure)) => write!(f, " {name}: {figure} |")?,
                None => write!(f, " |")?,
            }
            match row.ratio() {
                Some(ratio) => write!(f, " {ratio:.2} |")?,
                None => write!(f, " |")?,
            }
            match row.bar {
                Some(Bar::RatioAtLeast(bar)) => write!(f, " ratio ≥ {bar} |")?,
                Some(Bar::RatioAtMost(bar)) => write!(f, " ratio ≤ {bar} |")?,
                Some(Bar::AtMost(bar)) => write!(f, " ≤ {bar} |")?,
                None => write!(f, " |")?,
            }
            let holds = match (row.bar, row.holds()) {
                (None, _) => "",
                (_, Some(true)) => "yes",
                (_, Some(false)) => "NO",
                (_, None) => "not measured",
            };
            writeln!(f, " {holds} |")?;
        }
        Ok(())
    }
}
