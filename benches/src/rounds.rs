//! Interleaved rounds: what is compared is measured in turn, so that a machine that drifts drifts for both.

use std::time::Instant;

/// The figures of one subject over all rounds.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// The figures of as many rounds.
    #[must_use]
    pub fn of(rounds: &[f64]) -> Self {
        Self(rounds.to_vec())
    }

    /// One round more.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Whether nothing was measured.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The smallest and the largest.
    #[must_use]
    pub fn range(&self) -> [f64; 2] {
        let min = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        [min, self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
    }
}

/// Nanoseconds per run of each subject: `rounds` rounds of `runs` runs, after a warm-up, and something else after each round.
pub fn nanoseconds<const N: usize>(
    rounds: usize,
    runs: u64,
    subjects: &mut [impl FnMut(u64); N],
    mut after: impl FnMut(),
) -> [Figures; N] {
    let mut figures = [const { Figures(Vec::new()) }; N];
    for subject in subjects.iter_mut() {
        subject(runs / 4);
    }
    for _ in 0..rounds {
        for (subject, figures) in subjects.iter_mut().zip(&mut figures) {
            let start = Instant::now();
            subject(runs);
            #[allow(clippy::cast_precision_loss)]
            figures.add(start.elapsed().as_nanos() as f64 / runs as f64);
        }
        after();
    }
    figures
}
