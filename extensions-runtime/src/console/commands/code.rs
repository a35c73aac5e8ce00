//! `list`, `inspect`, `plan`, `test`: what needs the code of handlers.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::args::{DataArgs, ListArgs};
use super::super::outcome::{Done, Failure, Outcome};
use super::super::screen::{Column, Line, Screen, Style, Table};
use super::Session;
use crate::config::nearest;
use crate::fire::{Fate, FireReport, Plan};
use crate::operator::{HandlerFilter, HandlerView, PointView, find_point, listing, short};
use crate::point::{Deprecation, QueuedPoint};
use crate::registry::Registry;

pub(super) async fn list(args: &ListArgs, session: Session<'_>) -> Done {
    let screen = session.screen;
    let registry = session.app.registry().await?.registry();
    let filter = args.filter();
    check_names(&registry, &filter)?;
    let mut points = listing(&registry, &filter);
    if args.unused {
        points.retain(|point| point.handlers.is_empty());
    }
    if screen.is_json() {
        screen.json(&json!({ "points": points }))?;
    } else if points.is_empty() {
        screen.line(if args.unused { "every point has handlers" } else { "no handler matches" })?;
    } else if args.unused {
        screen.table(table_of_points(&points))?;
    } else {
        screen.table(table_of_handlers(&points))?;
    }
    Ok(Outcome::Done)
}

/// A name without a joker that nothing has is a typing error.
fn check_names(registry: &Registry, filter: &HandlerFilter) -> Result<(), Failure> {
    let points = registry.points().iter().flat_map(|point| [point.name.as_str(), &point.path]);
    check("point", filter.point.as_deref(), points.collect(), || {
        filter.point.as_deref().is_some_and(|name| find_point(registry, name).is_ok())
    })?;
    let handlers = registry.handlers().iter().map(|handler| &*handler.name).collect();
    check("handler", filter.handler.as_deref(), handlers, || false)?;
    check("tag", filter.tag.as_deref(), registry.tags().into_iter().collect(), || false)?;
    check("group", filter.group.as_deref(), registry.groups().into_iter().collect(), || false)
}

fn check(
    what: &str,
    name: Option<&str>,
    names: Vec<&str>,
    otherwise: impl Fn() -> bool,
) -> Result<(), Failure> {
    let Some(name) = name.filter(|name| !name.contains(['*', '?'])) else { return Ok(()) };
    if names.contains(&name) || otherwise() { Ok(()) } else { Err(unknown(what, name, names)) }
}

fn unknown<'a>(what: &str, name: &str, names: impl IntoIterator<Item = &'a str>) -> Failure {
    let names: Vec<_> = names.into_iter().collect();
    let meant = nearest(name, &names).map(|near| format!("; `{near}` is there")).unwrap_or_default();
    Failure::not_found(format!("there is no {what} `{name}`{meant}"))
}

fn table_of_points(points: &[PointView]) -> Table {
    let mut table = Table::new([
        Column::text("POINT"),
        Column::text("KIND"),
        Column::long("TYPE"),
        Column::long("DEFINED AT"),
    ]);
    for point in points {
        table.row([
            named(&point.name, point.deprecated),
            kind(point).into(),
            point.path.as_str().into(),
            point.location.as_str().into(),
        ]);
    }
    table
}

fn table_of_handlers(points: &[PointView]) -> Table {
    let mut table = Table::new([
        Column::text("POINT"),
        Column::text("HANDLER"),
        Column::text("KIND"),
        Column::number("PRIORITY"),
        Column::text("QUEUE"),
        Column::long("TAGS"),
        Column::long("GROUP"),
    ]);
    for point in points {
        for handler in &point.handlers {
            table.row([
                named(&point.name, point.deprecated),
                named(&handler.name, handler.deprecated),
                handler.kind.to_string().into(),
                handler.priority.to_string().into(),
                handler.job.as_ref().map_or("", |job| &job.queue).into(),
                handler.tags.join(",").into(),
                handler.group.as_deref().unwrap_or_default().into(),
            ]);
        }
        if point.handlers.is_empty() {
            let none = Line::styled(Style::Dim, "(no handlers)");
            let rest = std::iter::repeat_with(|| Line::from("")).take(5);
            table.row([named(&point.name, point.deprecated), none].into_iter().chain(rest));
        }
    }
    table
}

fn named(name: &str, deprecated: Option<Deprecation>) -> Line {
    match deprecated {
        None => name.into(),
        Some(_) => Line::from(name).and(Style::Warning, " (deprecated)"),
    }
}

fn kind(point: &PointView) -> &'static str {
    match (point.queued, point.interruptible) {
        (true, true) => "queued, interruptible",
        (true, false) => "queued",
        (false, true) => "interruptible",
        (false, false) => "inline",
    }
}

fn found(registry: &Registry, name: &str) -> Result<PointView, Failure> {
    find_point(registry, name).map_err(|(several, names)| {
        if several {
            return Failure::not_found(format!(
                "`{name}` is the type of several points; write one of {}",
                names.join(", ")
            ));
        }
        unknown("point", name, names.iter().map(String::as_str))
    })
}

pub(super) async fn inspect(name: &str, session: Session<'_>) -> Done {
    let screen = session.screen;
    let registry = session.app.registry().await?.registry();
    let point = found(&registry, name)?;
    if screen.is_json() {
        screen.json(&point)?;
        return Ok(Outcome::Done);
    }
    screen.line(named(&point.name, point.deprecated).and(Style::Dim, format!("  {}", kind(&point))))?;
    screen.fields([
        ("type", point.path.as_str().into()),
        ("defined", point.location.as_str().into()),
        ("version", point.version.to_string().into()),
        ("handlers", point.handlers.len().to_string().into()),
    ])?;
    for handler in &point.handlers {
        screen.line("")?;
        inspect_handler(handler, screen)?;
    }
    Ok(Outcome::Done)
}

fn inspect_handler(handler: &HandlerView, screen: &Screen) -> Result<(), Failure> {
    screen.line(named(&handler.name, handler.deprecated).and(Style::Dim, format!("  {}", handler.kind)))?;
    let mut fields: Vec<(&'static str, Line)> = vec![
        ("code", handler.path.as_str().into()),
        ("defined", handler.location.as_str().into()),
        ("priority", handler.priority.to_string().into()),
    ];
    let mut add = |name: &'static str, value: Option<String>| {
        fields.extend(value.map(|value| (name, Line::from(value))));
    };
    let list = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    add("deprecated", handler.deprecated.map(deprecation));
    add("tags", list(&handler.tags));
    add("group", handler.group.clone());
    add("aliases", list(&handler.aliases));
    add("only where", list(&handler.conditions));
    add("unavailable", handler.on_unavailable.map(|answer| format!("{answer:?}").to_lowercase()));
    add(
        "breaker",
        Some(handler.breaker.as_ref().map_or_else(
            || "off".to_owned(),
            |breaker| {
                let open = span(breaker.timeout);
                format!("open for {open} after {} failures in a row", breaker.threshold)
            },
        )),
    );
    if let Some(job) = &handler.job {
        add("queue", Some(format!("{}, priority {}", job.queue, job.priority)));
        add("delay", (job.delay > 0.0).then(|| span(job.delay)));
        add("attempts", Some(job.max_attempts.to_string()));
        add("back-off", Some(backoff(&job.backoff.strategy, &job.backoff.waits)));
        add("time-out", Some(job.timeout.map_or_else(|| "none".to_owned(), span)));
        add(
            "unique",
            job.unique.as_ref().map(|unique| {
                let by =
                    if unique.by.is_empty() { "the whole payload".to_owned() } else { unique.by.join(", ") };
                let ttl = unique.ttl.map(|ttl| format!(", for at most {}", span(ttl))).unwrap_or_default();
                format!("by {by}, until its {:?}{ttl}", unique.until).to_lowercase()
            }),
        );
        add("retry until", job.retry_until.map(span));
        add("expires in", job.expires_in.map(span));
        add("missing", (job.missing != "fail").then(|| job.missing.to_owned()));
        let callbacks = [("on_failure", job.on_failure), ("on_retry", job.on_retry)];
        let callbacks: Vec<_> =
            callbacks.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name.to_owned()).collect();
        add("callbacks", list(&callbacks));
    }
    screen.fields(fields)?;
    let unreached = handler.job.iter().flat_map(|job| &job.backoff.unreached);
    let unreached: Vec<_> = unreached.map(|wait| span(*wait)).collect();
    if let (false, Some(job)) = (unreached.is_empty(), &handler.job) {
        let waits = unreached.join(", ");
        let text = format!("  ! with {} attempts the waits {waits} are never reached", job.max_attempts);
        screen.line(Line::styled(Style::Warning, text))?;
    }
    Ok(())
}

fn span(seconds: f64) -> String {
    short(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn backoff(strategy: &str, waits: &[f64]) -> String {
    let waits: Vec<_> = waits.iter().map(|wait| span(*wait)).collect();
    if waits.is_empty() { strategy.to_owned() } else { format!("{strategy}: {}", waits.join(", ")) }
}

fn deprecation(deprecated: Deprecation) -> String {
    let since = deprecated.since.map(|since| format!("since {since}"));
    let parts: Vec<_> = since.into_iter().chain(deprecated.note.map(str::to_owned)).collect();
    if parts.is_empty() { "yes".to_owned() } else { parts.join(": ") }
}

/// The point that the arguments describe.
fn read(registry: &Registry, data: &DataArgs) -> Result<Box<dyn QueuedPoint>, Failure> {
    let point = found(registry, &data.point)?;
    let name = &point.name;
    let registered = registry.points().iter().find(|registered| registered.name == *name);
    let declared = registered.map_or(name.as_str(), |registered| registered.declared);
    if !point.queued {
        return Err(Failure::new(
            Outcome::Failed,
            format!(
                "`{name}` cannot be read from JSON: it is no queued point; add `#[extension_point(queued)]` to {}",
                point.path
            ),
        ));
    }
    let wrong = |why: String| Failure::usage(format!("`--with-data` is no `{name}`: {why}"));
    let text = text(&data.with_data)?;
    let mut value: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let fields =
        value.as_object_mut().ok_or_else(|| wrong("write an object, such as {\"id\": 7}".to_owned()))?;
    fields.insert("type".to_owned(), declared.into());
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

fn text(with_data: &str) -> Result<String, Failure> {
    if with_data != "-" {
        return Ok(with_data.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(text)
}

pub(super) async fn plan(data: &DataArgs, session: Session<'_>) -> Done {
    let screen = session.screen;
    let extensions = session.app.registry().await?;
    let point = read(&extensions.registry(), data)?;
    let plan = extensions.plan_boxed(&*point);
    if screen.is_json() {
        screen.json(&plan_json(&plan))?;
    } else {
        screen.block(0, &plan.to_string())?;
    }
    Ok(Outcome::Done)
}

fn plan_json(plan: &Plan) -> Value {
    let handlers = plan.handlers.iter().map(|planned| {
        let (is, why) = match &planned.fate {
            Fate::Run => ("run", None),
            Fate::Skipped { reason } => ("skipped", Some(reason.to_string())),
            Fate::Fails { error } => ("fails", Some(error.to_string())),
            Fate::NotReached => ("not_reached", None),
        };
        json!({
            "handler": planned.handler.name,
            "kind": planned.handler.kind,
            "priority": planned.handler.priority,
            "scope": planned.scope,
            "is": is,
            "why": why,
            "job": planned.job.as_ref().map(|job| json!({
                "queue": job.queue,
                "delay": job.delay.as_secs_f64(),
                "priority": job.priority,
                "max_attempts": job.max_attempts,
            })),
        })
    });
    json!({ "point": plan.point, "silenced": plan.silenced, "handlers": handlers.collect::<Vec<_>>() })
}

pub(super) async fn test(data: &DataArgs, session: Session<'_>) -> Done {
    let Session { app, url, screen, .. } = session;
    // Timed, so that the report names the handlers that ran.
    let extensions = app.instance(url.as_deref(), |builder| builder.profiling(true)).await?;
    let point = read(&extensions.registry(), data)?;
    let fired = extensions.fire_boxed(point).await;
    let (report, error) = match &fired {
        Ok(report) => (report, None),
        Err(error) => (error.report(), Some(error.to_string())),
    };
    let success = error.is_none() && report.errors.is_empty() && report.veto.is_none();
    if screen.is_json() {
        screen.json(&report_json(report, success, error.as_deref()))?;
    } else {
        people(report, success, screen)?;
        // What a handler said stands in the report already.
        let untold = error.filter(|_| report.errors.is_empty());
        untold.iter().try_for_each(|error| screen.line(Line::styled(Style::Bad, format!("  {error}"))))?;
    }
    Ok(if success { Outcome::Done } else { Outcome::Failed })
}

fn report_json(report: &FireReport, success: bool, error: Option<&str>) -> Value {
    let ran = report.durations.iter();
    let queued = report
        .queued
        .iter()
        .map(|job| json!({ "id": job.id(), "handler": job.handler(), "queue": job.queue() }));
    let duplicates = report.duplicates.iter().map(|job| json!({ "handler": job.handler(), "of": job.of() }));
    let skipped = report.skipped.iter();
    json!({
        "point": report.point,
        "success": success,
        "error": error,
        "silenced": report.is_silenced(),
        "ran": ran.map(|(name, took)| json!({ "handler": name, "took": took.as_secs_f64() })).collect::<Vec<_>>(),
        "skipped": skipped
            .map(|skipped| json!({ "handler": skipped.handler.name, "why": skipped.reason.to_string() }))
            .collect::<Vec<_>>(),
        "errors": report.errors.iter()
            .map(|failure| json!({ "handler": failure.handler.name, "error": failure.error.to_string() }))
            .collect::<Vec<_>>(),
        "veto": report.veto.as_ref().map(|veto| json!({ "handler": veto.by(), "reason": veto.reason() })),
        "queued": queued.collect::<Vec<_>>(),
        "duplicates": duplicates.collect::<Vec<_>>(),
    })
}

fn people(report: &FireReport, success: bool, screen: &Screen) -> Result<(), Failure> {
    let end = if success { Line::styled(Style::Good, "fired") } else { Line::styled(Style::Bad, "not done") };
    screen.line(end.and(Style::Plain, format!(" {}", report.point)))?;
    if report.is_silenced() {
        screen.line("  silenced: nothing ran")?;
    }
    for (name, took) in &report.durations {
        screen.line(format!("  ran      {name} in {}", short(*took)))?;
    }
    for skipped in &report.skipped {
        screen.line(format!("  skipped  {}: {}", skipped.handler.name, skipped.reason))?;
    }
    for failure in &report.errors {
        screen.line(Line::styled(
            Style::Bad,
            format!("  failed   {}: {}", failure.handler.name, failure.error),
        ))?;
    }
    if let Some(veto) = &report.veto {
        screen.line(Line::styled(Style::Bad, format!("  vetoed   {}: {}", veto.by(), veto.reason())))?;
    }
    for job in &report.queued {
        screen.line(format!("  queued   {} on {} as {}", job.handler(), job.queue(), job.id()))?;
    }
    for job in &report.duplicates {
        screen.line(format!("  kept out {}: job {} holds its unique key", job.handler(), job.of()))?;
    }
    Ok(())
}
