//! The cases with a queue: ours, the limit and the peers take turns, each in a process of its own on a store in which nothing is.

use std::collections::BTreeMap;

use extensions::BoxError;

use crate::peers::Peer;
use crate::report::{Better, LeftOut, Peers, Row, Why};
use crate::rounds::Figures;
use crate::stores::Stores;
use crate::subject::{Answer, Subject};

/// The names of these cases.
pub const CASES: [&str; 6] = ["fire 1", "fire 64", "fan-out", "bulk", "drain", "latency"];

/// How often a peer fires at most, as most take seconds for that.
const PEERS_FIRES: u64 = 10_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How often.
    pub rounds: usize,
    /// By how much the number of jobs is divided.
    pub share: u64,
}

/// What one side does in a round.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    name: &'static str,
    jobs: u64,
    /// Whether finished jobs are kept.
    keep: bool,
    /// Whether nothing is tuned.
    defaults: bool,
    /// Whether two processes share the work.
    by_two: bool,
}

/// What all rounds of a case came to.
#[derive(Debug, Default)]
struct Measured {
    ours: Vec<Answer>,
    limit: Vec<Answer>,
    peers: BTreeMap<String, Vec<Answer>>,
    left_out: Vec<LeftOut>,
}

impl Measured {
    fn peers(&self, figure: Figure) -> Peers {
        self.peers.iter().map(|(name, all)| (name.clone(), figures(all, figure).median())).collect()
    }
}

type Figure = fn(&Answer) -> Option<f64>;

fn figures(all: &[Answer], figure: Figure) -> Figures {
    Figures::of(&all.iter().filter_map(figure).collect::<Vec<_>>())
}

fn rates(all: &[Answer]) -> Figures {
    figures(all, |answer| answer.value)
}

fn peak(all: &[Answer]) -> Option<f64> {
    all.iter().filter_map(|answer| answer.peak_mib).max_by(f64::total_cmp)
}

/// Measures one backend at one durability.
#[derive(Debug)]
pub struct Bench<'a> {
    stores: &'a Stores,
    size: Size,
    peers: Vec<Peer>,
    /// Those that were to be there.
    missing: Vec<&'static str>,
}

impl<'a> Bench<'a> {
    /// With these stores, and the peers that were built.
    #[must_use]
    pub fn new(stores: &'a Stores, size: Size, with_peers: bool) -> Self {
        let (peers, missing) =
            if with_peers { Peer::all(stores.setting().backend) } else { (vec![], vec![]) };
        Self { stores, size, peers, missing }
    }

    /// The rows of a case.
    ///
    /// # Errors
    ///
    /// If ours or the limit does not do what it is asked. A peer that fails is named on standard error and left out.
    pub async fn case(&self, case: &str) -> Result<Vec<Row>, BoxError> {
        match case {
            "fire 1" => self.fire_1().await,
            "fire 64" => self.fire_64().await,
            "fan-out" => self.fan_out().await,
            "bulk" => self.bulk().await,
            "drain" => self.drain().await,
            "latency" => self.latency().await,
            _ => Err(format!("`{case}` is no case with a queue").into()),
        }
    }

    async fn fire_1(&self) -> Result<Vec<Row>, BoxError> {
        let strict = self.stores.setting().strict;
        let step = self.step("fire-1", self.each(if strict { 6_000 } else { 20_000 }, 5_000, 10_000));
        let measured = self.measure(Some(step), Some(step), Some(step)).await?;
        let (limit, peer) = self.each((0.5, 4.0), (0.8, 1.2), (0.8, 1.0));
        Ok(vec![self.rate("fire 1", "fires/s", &measured).at_least(limit).ahead(peer)])
    }

    async fn fire_64(&self) -> Result<Vec<Row>, BoxError> {
        let step = self.step("fire-64", self.each(50_000, 30_000, 50_000));
        let one_by_one = self.step("fire-1", 20_000);
        // PostgreSQL's commits are shared by its connections; what the limit of the others gains by more producers is nothing.
        let limit = self.each(one_by_one, step, one_by_one);
        let measured = self.measure(Some(step), Some(limit), Some(step)).await?;
        let (limit, peer) = self.each((2.0, 1.0), (2.0, 1.0), (5.0, 1.5));
        Ok(vec![self.rate("fire 64", "fires/s", &measured).at_least(limit).ahead(peer)])
    }

    /// The limit is our own bulk way.
    async fn fan_out(&self) -> Result<Vec<Row>, BoxError> {
        let jobs = self.each(64_000, 32_000, 64_000);
        let mut measured = Measured::default();
        for _ in 0..self.size.rounds {
            measured.ours.push(self.ours(self.step("fan-out", jobs)).await?);
            measured.limit.push(self.ours(self.step("bulk", jobs)).await?);
        }
        Ok(vec![self.rate("fan-out 16", "jobs/s", &measured).at_least(0.5)])
    }

    async fn bulk(&self) -> Result<Vec<Row>, BoxError> {
        let step = self.step("bulk", self.each(100_000, 100_000, 200_000));
        let measured = self.measure(Some(step), Some(step), Some(step)).await?;
        let (limit, peer) = self.each((0.4, 7.0), (0.6, 2.0), (0.4, 2.0));
        Ok(vec![self.rate("bulk 1000", "jobs/s", &measured).at_least(limit).ahead(peer)])
    }

    /// The last two are held against our own drain with the best settings.
    async fn drain(&self) -> Result<Vec<Row>, BoxError> {
        let dropped = self.step("drain", 100_000);
        let kept = Step { keep: true, ..dropped };
        let (of_dropped, of_kept, peer) = self.each((0.45, 0.35, 4.0), (0.75, 0.75, 1.3), (0.8, 0.8, 1.6));
        let best = self.measure(Some(dropped), Some(dropped), Some(dropped)).await?;
        let keeping = self.measure(Some(kept), Some(kept), Some(kept)).await?;
        let mut by_two = self.measure(Some(Step { by_two: true, ..dropped }), None, None).await?;
        let mut untuned = self.measure(Some(Step { defaults: true, ..dropped }), None, None).await?;
        by_two.limit.clone_from(&best.ours);
        untuned.limit.clone_from(&best.ours);
        Ok(vec![
            self.rate("drain, dropped", "jobs/s", &best).at_least(of_dropped).ahead(peer),
            self.rate("drain, kept", "jobs/s", &keeping).at_least(of_kept).ahead(peer),
            self.rate("drain 2, dropped", "jobs/s", &by_two),
            self.rate("drain, defaults", "jobs/s", &untuned).at_least(0.5),
        ])
    }

    async fn latency(&self) -> Result<Vec<Row>, BoxError> {
        let step = Step { name: "latency", jobs: (300 / self.size.share).max(30), ..Step::default() };
        let same = self.measure(Some(step), None, Some(step)).await?;
        let other = self.measure(Some(Step { name: "latency-other", ..step }), None, None).await?;
        let goals = self.each([0.4, 1.5], [1.5, 3.0], [0.5, 1.0]);
        let goals_of_others = self.each([10.0, 30.0], goals, goals);
        let percentiles: [(&str, Figure); 2] = [("p50", |answer| answer.p50), ("p99", |answer| answer.p99)];
        let mut rows = Vec::new();
        for (place, measured, goals) in [("", &same, goals), (", other process", &other, goals_of_others)] {
            for ((name, figure), goal) in percentiles.into_iter().zip(goals) {
                let row = Row::new(format!("latency {name}{place}"), &figures(&measured.ours, figure), "ms");
                let row = row.on(self.stores.setting()).peers(measured.peers(figure), Better::Less);
                let row = row.without(&measured.left_out).below(goal);
                rows.push(if place.is_empty() { row.not_behind() } else { row });
            }
        }
        Ok(rows)
    }

    /// The first on SQLite, the second on PostgreSQL, the third on Redis.
    fn each<T>(&self, sqlite: T, postgres: T, redis: T) -> T {
        match self.stores.setting().backend {
            "sqlite" => sqlite,
            "postgres" => postgres,
            _ => redis,
        }
    }

    fn step(&self, name: &'static str, jobs: u64) -> Step {
        Step { name, jobs: jobs / self.size.share, ..Step::default() }
    }

    fn rate(&self, case: &str, unit: &'static str, measured: &Measured) -> Row {
        let row = Row::new(case, &rates(&measured.ours), unit).on(self.stores.setting());
        let row = row.peers(measured.peers(|answer| answer.value), Better::More).without(&measured.left_out);
        let row = row.peak(peak(&measured.ours));
        if measured.limit.is_empty() { row } else { row.limit(&rates(&measured.limit)) }
    }

    async fn measure(
        &self,
        ours: Option<Step>,
        limit: Option<Step>,
        peers: Option<Step>,
    ) -> Result<Measured, BoxError> {
        let mut measured = Measured::default();
        let mut able = Vec::new();
        if peers.is_some() {
            able.clone_from(&self.peers);
            let missing = self.missing.iter().map(|&peer| LeftOut { peer, why: Why::NotBuilt });
            measured.left_out.extend(missing);
        }
        for _ in 0..self.size.rounds {
            if let Some(step) = ours {
                measured.ours.push(self.ours(step).await?);
            }
            if let Some(step) = limit {
                let url = self.stores.empty_url().await?;
                measured
                    .limit
                    .push(self.with_options(Subject::own("limit", &[step.name])?, &url, step).run()?);
            }
            if let Some(step) = peers {
                let mut failed = Vec::new();
                for peer in &able {
                    match self.peer(peer, step).await {
                        Ok((name, answer)) => measured.peers.entry(name).or_default().push(answer),
                        Err(error) => failed.push((peer.name, error)),
                    }
                }
                for (name, error) in failed {
                    eprintln!(
                        "{name} is left out of `{}` on {}: {error}",
                        step.name,
                        self.stores.setting().backend
                    );
                    able.retain(|peer| peer.name != name);
                    measured.peers.retain(|measured, _| !measured.starts_with(name));
                    let why = if is_unsupported(&error) { Why::Cannot } else { Why::Failed };
                    measured.left_out.push(LeftOut { peer: name, why });
                }
            }
        }
        Ok(measured)
    }

    fn with_options(&self, subject: Subject, url: &str, step: Step) -> Subject {
        let subject = subject.with("url", url).with("jobs", &step.jobs);
        let subject = match step.name {
            "drain" => subject.with("keep", if step.keep { "yes" } else { "no" }),
            _ => subject,
        };
        subject.with("durability", if self.stores.setting().strict { "full" } else { "normal" })
    }

    async fn ours(&self, step: Step) -> Result<Answer, BoxError> {
        let url = self.stores.own(&self.stores.empty_url().await?);
        let subject = |name| -> Result<_, BoxError> {
            let subject = self.with_options(Subject::own("ours", &[name])?, &url, step);
            Ok(subject.with("defaults", if step.defaults { "yes" } else { "no" }))
        };
        if step.name == "drain" {
            subject("fill")?.run()?;
        }
        let answer = if step.by_two {
            together(&subject(step.name)?.run_twice_at_once()?)
        } else {
            subject(step.name)?.run()?
        };
        match answer.count {
            Some(done) if step.name == "drain" && done != step.jobs => {
                Err(format!("{done} of {} jobs were drained", step.jobs).into())
            }
            _ => Ok(answer),
        }
    }

    /// The peer's name, with what it does otherwise, and what it measured.
    async fn peer(&self, peer: &Peer, step: Step) -> Result<(String, Answer), BoxError> {
        let url = self.stores.empty_url().await?;
        if step.name != "drain" {
            let most = if step.name.starts_with("fire") { PEERS_FIRES } else { u64::MAX };
            let step = Step { jobs: step.jobs.min(most), ..step };
            let answer = self.with_options(peer.subject(step.name), &url, step).run()?;
            return Ok((peer.name.to_owned(), answer));
        }
        let step = Step { jobs: step.jobs.min(peer.most), ..step };
        self.with_options(peer.subject("fill"), &url, Step { name: "fill", ..step }).run()?;
        match self.with_options(peer.subject(step.name), &url, step).run() {
            // Where it keeps all finished jobs, or none, that is what it is measured with.
            Err(error) if is_unsupported(&error) => {
                let other = Step { keep: !step.keep, ..step };
                let answer = self.with_options(peer.subject(step.name), &url, other).run()?;
                let otherwise = if other.keep { "keeps them" } else { "drops them" };
                Ok((format!("{} ({otherwise})", peer.name), answer))
            }
            answer => Ok((peer.name.to_owned(), answer?)),
        }
    }
}

/// Whether a peer says that it has no such thing.
fn is_unsupported(error: &BoxError) -> bool {
    error.to_string().contains("unsupported: ")
}

/// What several did that began together.
#[allow(clippy::cast_precision_loss)]
fn together(all: &[Answer]) -> Answer {
    let count = all.iter().filter_map(|answer| answer.count).sum();
    let took = |answer: &Answer| Some(answer.count? as f64 / answer.value?);
    // One that came too late for any has no rate.
    let longest = all.iter().filter_map(took).filter(|took| took.is_finite()).max_by(f64::total_cmp);
    Answer {
        value: longest.map(|longest| count as f64 / longest),
        count: Some(count),
        peak_mib: peak(all),
        ..Answer::default()
    }
}
