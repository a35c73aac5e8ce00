use super::*;

#[derive(Debug, Default, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Judged {
    seen: Vec<String>,
    depth: u32,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Nothing,
    Errs,
    Panics,
    Vetoes,
    Fires,
    IgnoresNested,
}
const ALL: [Does; 9] = [
    Does::Nothing,
    Does::Nothing,
    Does::Nothing,
    Does::Nothing,
    Does::Errs,
    Does::Panics,
    Does::Vetoes,
    Does::Fires,
    Does::IgnoresNested,
];

fn begins(does: Does, name: &str, judged: &mut Judged) -> HandlerResult<Verdict> {
    judged.seen.push(name.to_owned());
    match does {
        Does::Errs => Err(format!("{name} errs").into()),
        Does::Panics => panic!("{name} panics"),
        Does::Vetoes => Ok(Verdict::veto(name)),
        _ => Ok(Verdict::Continue),
    }
}

fn deeper(judged: &Judged) -> Judged {
    Judged { seen: Vec::new(), depth: judged.depth + 1 }
}

fn say<P>(nested: Result<Fired<P>, FireError>, judged: &mut Judged, ignores: bool) -> HandlerResult<Verdict>
where
    P: ExtensionPoint,
{
    judged.seen.push(match &nested {
        Ok(fired) => format!("nested {:?}", fired.veto().map(|veto| veto.reason().to_owned())),
        Err(error) => format!("nested {error}"),
    });
    if !ignores {
        nested?;
    }
    Ok(Verdict::Continue)
}

struct Plain(Does, String);
impl Handler<Judged> for Plain {
    fn handle(&self, judged: &mut Judged, cx: &Context) -> HandlerResult<Verdict> {
        let verdict = begins(self.0, &self.1, judged)?;
        if matches!(self.0, Does::Fires | Does::IgnoresNested) && judged.depth < 2 {
            return say(cx.fire_sync(deeper(judged)), judged, matches!(self.0, Does::IgnoresNested));
        }
        Ok(verdict)
    }
}

struct Awaits(Does, String);
impl AwaitedHandler<Judged> for Awaits {
    async fn handle(&self, judged: &mut Judged, cx: &Context) -> HandlerResult<Verdict> {
        tokio::task::yield_now().await;
        let verdict = begins(self.0, &self.1, judged)?;
        if matches!(self.0, Does::Fires | Does::IgnoresNested) && judged.depth < 2 {
            return say(cx.fire(deeper(judged)).await, judged, matches!(self.0, Does::IgnoresNested));
        }
        Ok(verdict)
    }
}

struct Later;
impl AsyncHandler<Judged> for Later {
    async fn handle(&self, _: &Judged, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn instance(rng: &mut fastrand::Rng, builder: ExtensionsBuilder) -> ExtensionsBuilder {
    let mut builder = builder.graceful(rng.bool());
    let builder_awaits = rng.bool();
    for n in 0..rng.usize(1..6) {
        let (does, name) = (ALL[rng.usize(..ALL.len())], format!("h{n}"));
        let options = at(rng.i32(0..4)).name(name.clone());
        builder = if builder_awaits && rng.bool() {
            builder.register_awaited::<Judged, _>(Awaits(does, name), options)
        } else {
            builder.register::<Judged, _>(Plain(does, name), options)
        };
    }
    if rng.bool() { builder.register_async::<Judged, _>(Later, AsyncOptions::new()) } else { builder }
}

/// All that a fire says.
async fn told(ext: &Extensions, sync: bool) -> String {
    let fired = if sync { ext.fire_sync(Judged::default()) } else { ext.fire(Judged::default()).await };
    let failures = |errors: &[extensions::fire::HandlerFailure]| {
        errors.iter().map(|one| format!("{}: {}", one.handler.name, one.error)).collect::<Vec<_>>()
    };
    match fired {
        Ok(fired) => format!(
            "{:?} {:?} {:?} {:?} {:?} {} jobs",
            fired.point(),
            fired
                .outputs_by_handler()
                .map(|(info, output)| (info.name.to_string(), output.clone()))
                .collect::<Vec<_>>(),
            failures(fired.errors()),
            fired.veto().map(|veto| (veto.by().to_owned(), veto.reason().to_owned())),
            fired.skipped().len(),
            fired.queued().len(),
        ),
        Err(error) => {
            format!("{error} {:?} {:?}", error.point::<Judged>(), failures(&error.report().errors))
        }
    }
}

#[tokio::test]
async fn an_unrelated_mute_changes_nothing_of_what_a_fire_does() {
    for seed in 0..400 {
        let mut all = Vec::new();
        for muted in [false, true] {
            let (clock, builder) = by_hand();
            let (ext, queue) = on_memory(instance(&mut fastrand::Rng::with_seed(seed), builder)).await;
            let _mute = muted.then(|| ext.mute_named("somebody-else"));
            let mut told_of = Vec::new();
            // Often enough to open circuits on the way.
            for n in 0..21 {
                told_of.push(told(&ext, n % 2 == 0).await);
                told_of.push(format!("{:?}", ext.breakers()));
                if n % 7 == 6 {
                    clock.advance(Duration::from_secs(60));
                }
            }
            told_of.push(format!(
                "{:?}",
                queue
                    .stats()
                    .await
                    .unwrap()
                    .iter()
                    .map(extensions::queue::QueueStats::unfinished)
                    .collect::<Vec<_>>()
            ));
            all.push(told_of);
        }
        for (n, (quick, long)) in all[0].iter().zip(&all[1]).enumerate() {
            assert_eq!(quick, long, "seed {seed}, line {n}");
        }
    }
}
