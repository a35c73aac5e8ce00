use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Process;

#[extension_handler(Process, stage)]
struct NoStage;

async fn wrong(ext: &Extensions) {
    let _ = ext.pipeline(7).through(NoStage).run().await;
}

fn main() {}
