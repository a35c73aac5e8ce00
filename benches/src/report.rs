//! The rows of a comparison, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::rounds::Figures;

/// One measured case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The case: `inline 4`.
    pub case: String,
    /// The backend.
    pub backend: &'static str,
    /// What is promised of what is written.
    pub durability: Option<&'static str>,
    /// Ours: the median.
    pub ours: f64,
    /// The smallest and the largest of ours.
    pub ours_range: [f64; 2],
    /// The thinnest possible code: the median.
    pub limit: f64,
    /// The smallest and the largest of the limit.
    pub limit_range: [f64; 2],
    /// The peers' medians.
    pub peers: BTreeMap<String, f64>,
    /// What is counted.
    pub unit: &'static str,
    /// Ours against the limit.
    pub ratio_limit: f64,
    /// Ours against the best peer.
    pub ratio_best_peer: Option<f64>,
    /// The goal, in words.
    pub goal: String,
    /// Whether it is met.
    pub met: bool,
}

impl Row {
    /// A case of which less is better, with the largest ratio to the limit that meets the goal.
    #[must_use]
    pub fn at_most(case: String, ours: &Figures, limit: &Figures, most: f64) -> Self {
        let ratio = ours.median() / limit.median();
        Self {
            case,
            backend: "inline",
            durability: None,
            ours: ours.median(),
            ours_range: [ours.min(), ours.max()],
            limit: limit.median(),
            limit_range: [limit.min(), limit.max()],
            peers: BTreeMap::new(),
            unit: "ns",
            ratio_limit: ratio,
            ratio_best_peer: None,
            goal: if most.is_finite() { format!("at most {most} x limit") } else { "none".to_owned() },
            met: ratio <= most,
        }
    }
}

impl Row {
    /// A case of which more is better, with the smallest ratio to the limit that meets the goal.
    #[must_use]
    pub fn at_least(case: String, ours: &Figures, limit: &Figures, least: f64, unit: &'static str) -> Self {
        let row = Self::at_most(case, ours, limit, f64::INFINITY);
        Self { unit, goal: format!("at least {least} x limit"), met: row.ratio_limit >= least, ..row }
    }

    /// A case that is held against a figure, not against a limit; less is better.
    #[must_use]
    pub fn at_rest(case: String, ours: f64, most: f64, unit: &'static str) -> Self {
        let row = Self::at_most(case, &Figures::of(&[ours]), &Figures::of(&[f64::NAN]), f64::INFINITY);
        Self { unit, goal: format!("below {most} {unit}"), met: ours < most, ..row }
    }

    /// The same on a backend.
    #[must_use]
    pub fn on(self, backend: &'static str, durability: &'static str) -> Self {
        Self { backend, durability: Some(durability), ..self }
    }
}

/// The machine that measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// How many cores it shows.
    pub cores: usize,
    /// The operating system.
    pub os: &'static str,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Self {
            cpu: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            os: std::env::consts::OS,
        }
    }
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What.
    pub results: Vec<Row>,
}

impl Report {
    /// The report as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:<29} {:<9} {:>28} {:>28} {:<8} {:>6}  goal",
            "case", "backend", "ours (min–max)", "limit (min–max)", "unit", "ratio"
        );
        for row in &self.results {
            let ours = format!("{:.1} ({:.1}–{:.1})", row.ours, row.ours_range[0], row.ours_range[1]);
            let limit = match row.limit {
                limit if limit.is_nan() => "none".to_owned(),
                limit => format!("{limit:.1} ({:.1}–{:.1})", row.limit_range[0], row.limit_range[1]),
            };
            let met = if row.met { "met" } else { "NOT met" };
            let _ = writeln!(
                out,
                "{:<29} {:<9} {ours:>28} {limit:>28} {:<8} {:>6.2}  {}: {met}",
                row.case, row.backend, row.unit, row.ratio_limit, row.goal
            );
        }
        out
    }
}
