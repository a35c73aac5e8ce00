//! What goes in and out on the command line.

use std::fmt;
use std::path::PathBuf;

use examples::Done;
use extensions::prelude::*;
use lexopt::prelude::*;
use serde::Serialize;

pub(crate) struct Args {
    pub(crate) orders: u64,
    pub(crate) seed: u64,
    pub(crate) db: Option<PathBuf>,
    pub(crate) json: bool,
}

impl Args {
    const USAGE: &str = "\
orders [--orders N] [--seed N] [--db PATH] [--json]

  --orders N   how many orders (1000)
  --seed N     which orders, and which attempts fail (0)
  --db PATH    the queue's file (one in a new temporary folder)
  --json       print one JSON object";

    /// `None` where only help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, BoxError> {
        let mut args = Self { orders: 1_000, seed: 0, db: None, json: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("orders") => args.orders = examples::value(&mut parser, "--orders", str::parse)?,
                Long("seed") => args.seed = examples::value(&mut parser, "--seed", str::parse)?,
                Long("db") => args.db = Some(parser.value()?.into()),
                Long("json") => args.json = true,
                Long("help") | Short('h') => return examples::help(Self::USAGE),
                _ => return Err(arg.unexpected().into()),
            }
        }
        Ok(Some(args))
    }
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) orders: u64,
    pub(crate) fired: u64,
    pub(crate) vetoed: u64,
    pub(crate) queued: u64,
    pub(crate) duplicates: u64,
    #[serde(flatten)]
    pub(crate) done: Done,
    pub(crate) units_sold: u64,
    pub(crate) seconds: f64,
}

impl Summary {
    pub(crate) fn note<P: ExtensionPoint>(&mut self, fired: &Fired<P>) {
        self.fired += u64::from(fired.is_success());
        self.vetoed += u64::from(fired.veto().is_some());
        self.queued += fired.queued().len() as u64;
        self.duplicates += fired.duplicates().len() as u64;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { completed, retried, dead } = self.done;
        writeln!(f, "{} orders in {:.2} s", self.orders, self.seconds)?;
        writeln!(
            f,
            "  at once   {} fires, {} orders refused, {} units sold",
            self.fired, self.vetoed, self.units_sold
        )?;
        writeln!(f, "  queued    {} jobs, {} more were in the queue already", self.queued, self.duplicates)?;
        write!(
            f,
            "  later     {completed} completed, {retried} attempts failed and were retried, {dead} dead"
        )
    }
}
