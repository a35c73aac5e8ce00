use super::*;

/// Answers for fewer jobs than it was given.
struct Forgets;
impl PushLayer for Forgets {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        let mut pushed = next.run(jobs).await?;
        pushed.pop();
        Ok(pushed)
    }
}

struct Mail;
impl AsyncHandler<Sent> for Mail {
    async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_layer_that_answers_for_too_few_jobs_is_an_error_of_the_push() {
    let builder = Extensions::builder().push_layer(Forgets);
    let builder = builder.register_async::<Sent, _>(Mail, AsyncOptions::new());
    let (ext, _queue) = on_memory(builder).await;
    let error = ext.fire(Sent { id: 1 }).await.unwrap_err();
    assert_eq!(error.unqueued().len(), 1);
    let fired = ext.fire_many([Sent { id: 1 }, Sent { id: 2 }]).await;
    assert!(fired.iter().all(Result::is_err));
}
