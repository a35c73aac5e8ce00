//! The rows of a comparison, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::rounds::Figures;
use crate::stores::Setting;

/// The peers' medians, by name.
pub type Peers = BTreeMap<String, f64>;

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
    pub limit: Option<f64>,
    /// The smallest and the largest of the limit.
    pub limit_range: Option<[f64; 2]>,
    /// The peers' medians.
    pub peers: Peers,
    /// Peers that are not among them, and why: some cannot do the case, others failed or were not built.
    pub left_out: Vec<LeftOut>,
    /// What is counted.
    pub unit: &'static str,
    /// Ours against the limit.
    pub ratio_limit: Option<f64>,
    /// Ours against the best peer.
    pub ratio_best_peer: Option<f64>,
    /// The largest resident set of our process, in MiB, where it was looked at.
    pub peak_mib: Option<f64>,
    /// The goal, in words.
    pub goal: String,
    /// Whether it is met; nothing where there is none, or it names the best peer and one that can do the case was not measured.
    pub met: Option<bool>,
}

/// A peer that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub peer: &'static str,
    /// Why.
    pub why: Why,
}

/// Why a peer was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It has no such thing.
    Cannot,
    /// It did not do it.
    Failed,
    /// Its program is not there.
    NotBuilt,
}

/// Which figures are the better ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times, shares, sizes.
    Less,
    /// Rates.
    More,
}

impl Row {
    /// A case without a goal yet.
    #[must_use]
    pub fn new(case: impl Into<String>, ours: &Figures, unit: &'static str) -> Self {
        Self {
            case: case.into(),
            backend: "inline",
            durability: None,
            ours: ours.median(),
            ours_range: ours.range(),
            limit: None,
            limit_range: None,
            peers: Peers::new(),
            left_out: Vec::new(),
            unit,
            ratio_limit: None,
            ratio_best_peer: None,
            peak_mib: None,
            goal: String::new(),
            met: None,
        }
    }

    /// On a backend.
    #[must_use]
    pub fn on(self, setting: Setting) -> Self {
        Self { backend: setting.backend, durability: Some(setting.durability), ..self }
    }

    /// Beside the limit.
    #[must_use]
    pub fn limit(self, limit: &Figures) -> Self {
        let ratio = self.ours / limit.median();
        Self {
            limit: Some(limit.median()),
            limit_range: Some(limit.range()),
            ratio_limit: Some(ratio),
            ..self
        }
    }

    /// Beside the peers, where any were measured.
    #[must_use]
    pub fn peers(self, peers: Peers, better: Better) -> Self {
        let best = match better {
            Better::Less => peers.values().copied().min_by(f64::total_cmp),
            Better::More => peers.values().copied().max_by(f64::total_cmp),
        };
        Self { ratio_best_peer: best.map(|best| self.ours / best), peers, ..self }
    }

    /// Without some peers.
    #[must_use]
    pub fn without(self, left_out: &[LeftOut]) -> Self {
        Self { left_out: left_out.to_vec(), ..self }
    }

    /// With what the process of ours had in memory at most.
    #[must_use]
    pub fn peak(self, mib: Option<f64>) -> Self {
        Self { peak_mib: mib, ..self }
    }

    /// To be at most so many times the limit.
    #[must_use]
    pub fn at_most(self, times: f64) -> Self {
        let met = self.ratio_limit.map(|ratio| ratio <= times);
        self.goal(&format!("at most {times} x limit"), met)
    }

    /// To be at least so many times the limit.
    #[must_use]
    pub fn at_least(self, times: f64) -> Self {
        let met = self.ratio_limit.map(|ratio| ratio >= times);
        self.goal(&format!("at least {times} x limit"), met)
    }

    /// To be at least so many times the best peer.
    #[must_use]
    pub fn ahead(self, times: f64) -> Self {
        let met = self.beside_all(self.ratio_best_peer.map(|ratio| ratio >= times));
        self.goal(&format!("at least {times} x best peer"), met)
    }

    /// To be no more than the best peer.
    #[must_use]
    pub fn not_behind(self) -> Self {
        let met = self.beside_all(self.ratio_best_peer.map(|ratio| ratio <= 1.0));
        self.goal("at most the best peer", met)
    }

    /// To be below a figure.
    #[must_use]
    pub fn below(self, most: f64) -> Self {
        let met = self.ours < most;
        let goal = format!("below {most} {}", self.unit);
        self.goal(&goal, Some(met))
    }

    /// What is met beside some peers may not be beside those that are missing.
    fn beside_all(&self, met: Option<bool>) -> Option<bool> {
        let are_all_there = self.left_out.iter().all(|left_out| left_out.why == Why::Cannot);
        met.filter(|met| !met || are_all_there)
    }

    fn goal(mut self, goal: &str, met: Option<bool>) -> Self {
        if self.goal.is_empty() {
            self.met = met;
        } else {
            self.goal.push_str(", ");
            self.met = match (self.met, met) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (before, now) => before.and(now),
            };
        }
        self.goal.push_str(goal);
        self
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
            "{:<30} {:<9} {:<31} {:>30} {:>30} {:<8} {:>7} {:>28} {:>7}  goal",
            "case",
            "backend",
            "durability",
            "ours (min–max)",
            "limit (min–max)",
            "unit",
            "/limit",
            "best peer",
            "/peer"
        );
        for row in &self.results {
            let durability = row.durability.unwrap_or("-");
            let met = match (row.goal.is_empty(), row.met) {
                (true, _) => "none".to_owned(),
                (_, Some(true)) => format!("{}: met", row.goal),
                (_, Some(false)) => format!("{}: NOT met", row.goal),
                (_, None) => format!("{}: not to be said without all peers", row.goal),
            };
            let left_out = row.left_out.iter().fold(String::new(), |mut all, LeftOut { peer, why }| {
                let _ = write!(all, "; without {peer} ({why:?})");
                all
            });
            let _ = writeln!(
                out,
                "{:<30} {:<9} {durability:<31} {:>30} {:>30} {:<8} {:>7} {:>28} {:>7}  {met}{left_out}",
                row.case,
                row.backend,
                range(row.ours, row.ours_range),
                row.limit.zip(row.limit_range).map_or("-".to_owned(), |(limit, all)| range(limit, all)),
                row.unit,
                ratio(row.ratio_limit),
                row.best_peer(),
                ratio(row.ratio_best_peer),
            );
        }
        out
    }
}

impl Row {
    fn best_peer(&self) -> String {
        let Some(ratio) = self.ratio_best_peer else { return "-".to_owned() };
        let best = self.ours / ratio;
        let distance = |peer: &(&String, &f64)| (peer.1 - best).abs();
        let best = self.peers.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        best.map_or_else(|| "-".to_owned(), |(name, figure)| format!("{name} {}", short(*figure)))
    }
}

fn range(median: f64, [min, max]: [f64; 2]) -> String {
    format!("{} ({}–{})", short(median), short(min), short(max))
}

/// A figure with as many digits as mean something.
fn short(figure: f64) -> String {
    if figure >= 1_000.0 {
        format!("{figure:.0}")
    } else if figure >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(left_out: &[LeftOut]) -> Row {
        let row = Row::new("fire 1", &Figures::of(&[10.0]), "fires/s").without(left_out);
        row.peers([("apalis".to_owned(), 2.0)].into(), Better::More)
    }

    #[test]
    fn a_goal_beside_the_best_peer_is_not_called_met_where_one_that_can_do_the_case_is_missing() {
        let without = |why| [LeftOut { peer: "oxana", why }];
        for (left_out, met) in [
            (vec![], Some(true)),
            (without(Why::Cannot).to_vec(), Some(true)),
            (without(Why::Failed).to_vec(), None),
            (without(Why::NotBuilt).to_vec(), None),
        ] {
            assert_eq!(row(&left_out).ahead(4.0).met, met, "{left_out:?}");
            assert_eq!(row(&left_out).ahead(6.0).met, Some(false), "{left_out:?}");
        }
    }
}
