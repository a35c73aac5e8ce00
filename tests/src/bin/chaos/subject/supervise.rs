//! A supervisor, and the processes of its pools.

use std::path::PathBuf;
use std::process::ExitCode;

use extensions::config::Config;
use extensions::supervisor::{Supervisor, attach};
use tests::crash::{Event, LedgerWriter, Orders};

/// Supervises what the file says until a signal.
pub(super) async fn run(config: PathBuf, ledger: &LedgerWriter) -> ExitCode {
    let config = match Config::from_file(config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    ledger.write(Event::Ready).await;
    match Supervisor::new(config).run().await {
        Ok(report) => ExitCode::from(report.exit_code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Works as a process of a pool, with a ledger of its own.
pub(super) async fn work(mut orders: Orders, rest: &[String]) -> ExitCode {
    let attached = attach().expect("the standard input is the supervisor's");
    let [.., word, option, pool] = rest else { panic!("it is told what to do: {rest:?}") };
    assert_eq!((&**word, &**option), ("work", "--pool"));
    orders.process = format!("{pool}-{}", std::process::id());
    orders.ledger = orders.ledger.with_file_name(format!("{}.ledger", orders.process));
    let ledger = LedgerWriter::create(&orders.process, &orders.ledger).expect("the ledger can be made");
    let ext = super::instance(&orders, &ledger).await;
    let pool = ext.config().pools().get(pool).expect("the pool is in the configuration");
    let worker = ext.worker().pool(pool);
    let worker = match &attached {
        Some(attached) => attached.tie(worker),
        None => worker,
    };
    ledger.write(Event::Ready).await;
    let report = worker.run().await.expect("the worker's options are right");
    let report = serde_json::to_value(report).expect("a report is data");
    ledger.write(Event::Report { report }).await;
    ExitCode::SUCCESS
}
