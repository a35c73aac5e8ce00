//! Breaks a queue for as long as it is told to, and says which promises held.
//!
//! `chaos subject ORDERS …` is a process under test, which the harness starts by itself.

mod arguments;
mod subject;

use std::process::ExitCode;

use tests::crash::Campaign;

use crate::arguments::Arguments;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, orders, rest @ ..] = &arguments[..]
        && word == "subject"
    {
        return subject::run(orders, rest).await;
    }
    match Arguments::parse(arguments) {
        Ok(Arguments::Help) => {
            print(arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Arguments::Run { campaign, json }) => run(campaign, json).await,
        Err(why) => {
            eprintln!("{why}\n\n{}", arguments::HELP);
            ExitCode::from(2)
        }
    }
}

async fn run(campaign: Campaign, json: bool) -> ExitCode {
    let program = std::env::current_exe().expect("a program knows where it is");
    let result = campaign.run(&program).await;
    print(&if json { format!("{}\n", result.to_json()) } else { result.to_string() });
    if result.judgement.all_held() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
