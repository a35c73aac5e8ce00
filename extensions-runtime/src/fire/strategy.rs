//! Strategies: one value out of a fire's outputs.

use std::marker::PhantomData;

use super::output::{Comparable, Emptiable, Flag, Mergeable, NestedMergeable, Summable, Textual, WithOutput};
use super::{Fire, FireError, Fired};
use crate::point::ExtensionPoint;
use crate::telemetry::names::event;

/// Makes one value out of the outputs of a fire, and says when there are enough of them.
///
/// It is given every output as the handlers returned it; the strategies that come with [`Fire`] are given no `None`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no strategy over outputs of type `{T}`",
    label = "`impl Strategy<{T}>` is missing",
    note = "write `impl Strategy<{T}> for {Self} {{ type Value = …; fn finish(self, outputs: Vec<{T}>) -> Self::Value {{ … }} }}`"
)]
pub trait Strategy<T> {
    /// What it makes.
    type Value;

    /// Asked once about each output, in order. After the first yes no further inline handler runs.
    fn is_enough(&mut self, output: &T) -> bool {
        let _ = output;
        false
    }

    /// Makes the value out of the outputs, in the order in which the handlers ran.
    fn finish(self, outputs: Vec<T>) -> Self::Value;
}

/// # Strategies
///
/// They fire like [`fire`](Self::fire), with all that was chosen before, and answer one value. Where a strategy has enough, the inline
/// handlers behind do not run ([`StoppedEarly`](super::SkipReason::StoppedEarly)); async handlers are queued as in every fire.
///
/// Handlers that are muted, disabled, held back by a condition or an open circuit have no part in the value, nor have those that fail
/// in graceful mode: each such error is logged, since the value cannot show it. A silenced fire has no outputs at all. On points with
/// `output = Option<T>` the value is of the `T`s: `None` is passed over.
///
/// A point without `output = …` has nothing to collect, and an interruptible one has verdicts: ask it with
/// [`allows`](crate::Extensions::allows). Both are compile errors here.
impl<P: ExtensionPoint> Fire<'_, P> {
    /// Fires with a strategy of the application's own.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn collect<S>(self, mut strategy: S) -> Result<S::Value, FireError>
    where
        P: WithOutput,
        S: Strategy<P::Output> + Send,
    {
        let fired = self.fire_until(|output| strategy.is_enough(output)).await?;
        Ok(strategy.finish(fired.into_logged_outputs()))
    }

    /// Fires with a strategy of the application's own, without a runtime.
    ///
    /// # Errors
    ///
    /// As [`fire_sync`](Self::fire_sync).
    pub fn collect_sync<S>(self, mut strategy: S) -> Result<S::Value, FireError>
    where
        P: WithOutput,
        S: Strategy<P::Output> + Send,
    {
        let fired = self.fire_until_sync(|output| strategy.is_enough(output))?;
        Ok(strategy.finish(fired.into_logged_outputs()))
    }

    async fn values<S>(self, strategy: S) -> Result<S::Value, FireError>
    where
        P: WithOutput,
        S: Strategy<P::Value> + Send,
    {
        self.collect(Given::<P, S>(strategy, PhantomData)).await
    }

    /// The first output that is not empty. No handler behind it runs.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn first(self) -> Result<Option<P::Value>, FireError>
    where
        P: WithOutput,
        P::Output: Emptiable,
    {
        self.collect(First::<P>(PhantomData)).await
    }

    /// The first output that is not empty, without a runtime.
    ///
    /// # Errors
    ///
    /// As [`fire_sync`](Self::fire_sync).
    pub fn first_sync(self) -> Result<Option<P::Value>, FireError>
    where
        P: WithOutput,
        P::Output: Emptiable,
    {
        self.collect_sync(First::<P>(PhantomData))
    }

    /// All outputs, which are collections, in one: those of lists one after the other, of maps the later value of a key.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn merge(self) -> Result<P::Value, FireError>
    where
        P: WithOutput,
        P::Value: Mergeable,
    {
        self.values(Merge).await
    }

    /// All outputs, which are collections of collections, in one list of what these hold.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn merge_flattened(self) -> Result<Vec<<P::Value as NestedMergeable>::Inner>, FireError>
    where
        P: WithOutput,
        P::Value: NestedMergeable,
    {
        self.values(MergeFlattened).await
    }

    /// Folds the outputs into `init`, in order.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn reduce<A, F>(self, init: A, fold: F) -> Result<A, FireError>
    where
        P: WithOutput,
        A: Send,
        F: FnMut(A, P::Value) -> A + Send,
    {
        self.values(Reduce(init, fold)).await
    }

    /// Folds the outputs into `init`, in order, without a runtime.
    ///
    /// # Errors
    ///
    /// As [`fire_sync`](Self::fire_sync).
    pub fn reduce_sync<A, F>(self, init: A, fold: F) -> Result<A, FireError>
    where
        P: WithOutput,
        A: Send,
        F: FnMut(A, P::Value) -> A + Send,
    {
        self.collect_sync(Given::<P, _>(Reduce(init, fold), PhantomData))
    }

    /// The sum of the outputs, from their type's `Default` on with its `+`; [`reduce`](Self::reduce) for another arithmetic.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn sum(self) -> Result<P::Value, FireError>
    where
        P: WithOutput,
        P::Value: Summable,
    {
        self.reduce(P::Value::zero(), P::Value::plus).await
    }

    /// The smallest output, of equal ones the first; none if there is none.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn min(self) -> Result<Option<P::Value>, FireError>
    where
        P: WithOutput,
        P::Value: Comparable,
    {
        self.reduce(None, |best, value| Comparable::better(best, value, PartialOrd::lt)).await
    }

    /// The largest output, of equal ones the first; none if there is none.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn max(self) -> Result<Option<P::Value>, FireError>
    where
        P: WithOutput,
        P::Value: Comparable,
    {
        self.reduce(None, |best, value| Comparable::better(best, value, PartialOrd::gt)).await
    }

    /// Whether every output is true; yes if there is none. No handler behind the first false one runs.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn all(self) -> Result<bool, FireError>
    where
        P: WithOutput,
        P::Value: Flag,
    {
        self.values(Until(false)).await.map(|found| !found)
    }

    /// Whether any output is true; no if there is none. No handler behind the first true one runs.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn any(self) -> Result<bool, FireError>
    where
        P: WithOutput,
        P::Value: Flag,
    {
        self.values(Until(true)).await
    }

    /// How many outputs there are.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn count(self) -> Result<usize, FireError>
    where
        P: WithOutput,
    {
        self.reduce(0, |count, _| count + 1).await
    }

    /// All outputs, which are texts, one after the other.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn concat(self) -> Result<String, FireError>
    where
        P: WithOutput,
        P::Value: Textual,
    {
        self.concat_with("").await
    }

    /// All outputs, which are texts, with a separator between them.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    pub async fn concat_with(self, separator: &str) -> Result<String, FireError>
    where
        P: WithOutput,
        P::Value: Textual,
    {
        self.values(Concat(separator)).await
    }
}

impl<P: WithOutput> Fired<P> {
    /// Applies a strategy to the outputs afterwards; the value is what firing with it would have answered.
    pub fn collect<S: Strategy<P::Output>>(self, mut strategy: S) -> S::Value {
        let mut outputs = self.into_outputs();
        if let Some(last) = outputs.iter().position(|output| strategy.is_enough(output)) {
            outputs.truncate(last + 1);
        }
        strategy.finish(outputs)
    }
}

impl<P: ExtensionPoint> Fired<P> {
    fn into_logged_outputs(self) -> Vec<P::Output> {
        for failure in self.errors() {
            tracing::warn!(
                name: event::OUTPUT_MISSING,
                point = P::info().name,
                handler = &*failure.handler.name,
                error = %failure.error,
                "a handler failed in graceful mode: its output is missing in what the fire answered"
            );
        }
        self.into_outputs()
    }
}

/// A strategy over a point's values as one over its outputs.
struct Given<P, S>(S, PhantomData<fn() -> P>);

impl<P: WithOutput, S: Strategy<P::Value>> Strategy<P::Output> for Given<P, S> {
    type Value = S::Value;
    fn is_enough(&mut self, output: &P::Output) -> bool {
        P::__peek(output).is_some_and(|value| self.0.is_enough(value))
    }
    fn finish(self, outputs: Vec<P::Output>) -> S::Value {
        self.0.finish(outputs.into_iter().filter_map(P::__value).collect())
    }
}

struct First<P>(PhantomData<fn() -> P>);

impl<P: WithOutput<Output: Emptiable>> Strategy<P::Output> for First<P> {
    type Value = Option<P::Value>;
    fn is_enough(&mut self, output: &P::Output) -> bool {
        !output.is_empty()
    }
    fn finish(self, outputs: Vec<P::Output>) -> Self::Value {
        outputs.into_iter().find(|output| !output.is_empty()).and_then(P::__value)
    }
}

struct Merge;

impl<T: Mergeable> Strategy<T> for Merge {
    type Value = T;
    fn finish(self, outputs: Vec<T>) -> T {
        outputs.into_iter().reduce(T::merge).unwrap_or_default()
    }
}

struct MergeFlattened;

impl<T: NestedMergeable> Strategy<T> for MergeFlattened {
    type Value = Vec<T::Inner>;
    fn finish(self, outputs: Vec<T>) -> Self::Value {
        let mut all = Vec::new();
        outputs.into_iter().for_each(|output| output.append_to(&mut all));
        all
    }
}

struct Reduce<A, F>(A, F);

impl<T, A, F: FnMut(A, T) -> A> Strategy<T> for Reduce<A, F> {
    type Value = A;
    fn finish(self, outputs: Vec<T>) -> A {
        outputs.into_iter().fold(self.0, self.1)
    }
}

/// Whether this was answered, and no further than that.
struct Until(bool);

impl<T: Flag> Strategy<T> for Until {
    type Value = bool;
    fn is_enough(&mut self, output: &T) -> bool {
        output.is_set() == self.0
    }
    fn finish(self, outputs: Vec<T>) -> bool {
        outputs.last().is_some_and(|output| output.is_set() == self.0)
    }
}

struct Concat<'a>(&'a str);

impl<T: Textual> Strategy<T> for Concat<'_> {
    type Value = String;
    fn finish(self, outputs: Vec<T>) -> String {
        outputs.iter().map(Textual::text).collect::<Vec<_>>().join(self.0)
    }
}
