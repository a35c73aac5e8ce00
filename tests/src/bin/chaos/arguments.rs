//! The command's arguments.

use tests::crash::{Campaign, Engine, FaultKind, Target};
use tests::servers::Persistence;

pub(crate) const HELP: &str = "\
chaos --backend sqlite|postgres|redis|URL [--faults R1,R3,…] [--seconds 180] [--seed N] [--persistence always|everysec] [--json]

  --backend      a name starts a server of its own (sqlite: a file); a URL uses that store, which should be empty
  --faults       what to inject; everything that the backend can suffer where it is not given
  --seconds      for how long; then the queue is drained and judged
  --seed         the choices of an earlier run again
  --persistence  of redis: `everysec` reports what a killed server loses instead of calling it broken
  --json         one JSON object instead of tables

Ends with 0 if every invariant held, with 1 if one broke, and with 2 for wrong arguments.
";

/// What the command is asked for.
#[derive(Debug)]
pub(crate) enum Arguments {
    /// How it is used.
    Help,
    /// A run.
    Run {
        /// Of what.
        campaign: Campaign,
        /// Whether the result is JSON.
        json: bool,
    },
}

impl Arguments {
    pub(crate) fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let (mut backend, mut faults, mut json) = (None, None, false);
        let (mut seconds, mut seed, mut persistence) = (180, fastrand::u64(..1_000_000), None);
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("`{name}` needs a value"));
            match name.as_str() {
                "-h" | "--help" => return Ok(Self::Help),
                "--json" => json = true,
                "--backend" => backend = Some(target(&value()?)?),
                "--faults" => faults = Some(list(&value()?)?),
                "--seconds" => seconds = number(&name, &value()?)?,
                "--seed" => seed = number(&name, &value()?)?,
                "--persistence" => persistence = Some(mode(&value()?)?),
                _ => return Err(format!("`{name}` is no option of chaos")),
            }
        }
        let target = backend.ok_or("`--backend` is missing")?;
        if persistence.is_some() && target != Target::Own(Engine::Redis) {
            return Err("`--persistence` goes with `--backend redis`".to_owned());
        }
        let campaign = Campaign {
            faults: faults
                .unwrap_or_else(|| FaultKind::ALL.into_iter().filter(|kind| kind.suits(&target)).collect()),
            target,
            seconds,
            seed,
            persistence: persistence.unwrap_or_default(),
        };
        campaign.check()?;
        Ok(Self::Run { campaign, json })
    }
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "sqlite" => Ok(Target::Own(Engine::Sqlite)),
        "postgres" => Ok(Target::Own(Engine::Postgres)),
        "redis" => Ok(Target::Own(Engine::Redis)),
        url => match Engine::of(url) {
            Some(engine) => Ok(Target::Url(engine, url.to_owned())),
            None => Err(format!(
                "`{}` is no backend; there are sqlite, postgres, redis and their URLs",
                name_of(url)
            )),
        },
    }
}

/// As much of a URL as can be shown.
fn name_of(url: &str) -> &str {
    url.split_once("://").map_or(url, |(scheme, _)| scheme)
}

fn list(text: &str) -> Result<Vec<FaultKind>, String> {
    let known = || FaultKind::ALL.map(FaultKind::name).join(", ");
    let kind = |name: &str| {
        let name = name.trim();
        FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("`{name}` is no fault of chaos; there are {}", known()))
    };
    text.split(',').map(kind).collect()
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{name}` takes a whole number, not `{text}`"))
}

fn mode(text: &str) -> Result<Persistence, String> {
    match text {
        "always" => Ok(Persistence::Always),
        "everysec" => Ok(Persistence::Everysec),
        _ => Err(format!("`{text}` is no persistence; there are `always` and `everysec`")),
    }
}
