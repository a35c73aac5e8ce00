//! From values to what they set, and from what the builder was told to values.

use std::time::Duration;

use super::keys;
use super::layer::Layer;
use super::units::show_duration;
use super::value::Value;
use super::{Config, SupervisorConfig};
use crate::features::{EnvFlags, StaticFlags};
use crate::handler::AsyncOptions;
use crate::policy::{Backoff, BreakerOptions};
use crate::queue::Retention;

impl Layer {
    pub(crate) fn choose_breaker(&mut self, options: BreakerOptions) {
        let (threshold, timeout, half_open_max, successes) = options.parts();
        self.choose(&keys::BREAKER, Value::Flag(true));
        self.choose(&keys::BREAKER_THRESHOLD, Value::Count(threshold.into()));
        self.choose(&keys::BREAKER_TIMEOUT, Value::Time(timeout));
        self.choose(&keys::BREAKER_HALF_OPEN, Value::Count(half_open_max.into()));
        self.choose(&keys::BREAKER_SUCCESSES, Value::Count(successes.into()));
    }

    pub(crate) fn choose_retention(&mut self, retention: Retention) {
        self.choose(&keys::KEEP_COMPLETED, Value::Time(retention.completed));
        self.choose(&keys::KEEP_CANCELLED, Value::Time(retention.cancelled));
        self.choose(&keys::KEEP_DEAD, Value::Time(retention.dead));
    }
}

impl Config {
    /// Lays over it what the builder was told.
    pub(crate) fn cover(&mut self, chosen: Layer) {
        self.layer.cover(chosen);
        self.supervisor = SupervisorConfig::of(&self.layer);
    }

    /// Notes that the program has a queue of its own making.
    pub(crate) fn note_queue(&mut self, description: String) {
        self.own_queue = Some(description);
    }

    /// Notes that the program has feature flags of its own.
    pub(crate) fn note_features(&mut self) {
        self.has_own_features = true;
    }

    /// Notes what the program's own defaults of async handlers say.
    pub(crate) fn note_async_defaults(&mut self, own: &AsyncOptions) {
        if let Some(queue) = &own.queue {
            self.layer.choose(&keys::ASYNC_QUEUE, Value::Text(queue.clone()));
        }
        if let Some(attempts) = own.max_attempts {
            self.layer.choose(&keys::ASYNC_TRIES, Value::Count(attempts.into()));
        }
        if let Some((strategy, waits)) = own.backoff.as_ref().map(Backoff::parts) {
            let base = match waits {
                [base] if strategy != "list" => Value::Time(*base),
                waits => Value::Words(waits.iter().copied().map(show_duration).collect()),
            };
            self.layer.choose(&keys::ASYNC_BACKOFF, base);
            self.layer.choose(&keys::ASYNC_STRATEGY, Value::Text(strategy.to_owned()));
        }
    }

    /// The defaults of async handlers: the program's own, then those of file and variables.
    pub(crate) fn async_defaults(&self, own: AsyncOptions) -> AsyncOptions {
        let mut defaults = AsyncOptions::new();
        defaults.queue = self.layer.get(&keys::ASYNC_QUEUE);
        defaults.max_attempts = self.layer.get(&keys::ASYNC_TRIES);
        defaults.backoff = self.backoff();
        own.or(&defaults)
    }

    fn backoff(&self) -> Option<Backoff> {
        let base = self.layer.get(&keys::ASYNC_BACKOFF)?;
        Some(match self.layer.get::<String>(&keys::ASYNC_STRATEGY)?.as_str() {
            "linear" => Backoff::linear(base),
            "fixed" => Backoff::fixed(base),
            _ => Backoff::exponential(base),
        })
    }

    pub(crate) fn is_graceful(&self) -> bool {
        self.layer.get(&keys::GRACEFUL).unwrap_or_default()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.layer.get(&keys::STRICT).unwrap_or_default()
    }

    pub(crate) fn has_profiling(&self) -> bool {
        self.layer.get(&keys::PROFILING).unwrap_or_default()
    }

    pub(crate) fn slow_threshold(&self) -> Duration {
        self.layer.get(&keys::SLOW_THRESHOLD).unwrap_or_default()
    }

    /// None where there are no breakers.
    pub(crate) fn breaker(&self) -> Option<BreakerOptions> {
        if !self.layer.get::<bool>(&keys::BREAKER)? {
            return None;
        }
        let options = BreakerOptions::new()
            .threshold(self.layer.get(&keys::BREAKER_THRESHOLD)?)
            .timeout(self.layer.get(&keys::BREAKER_TIMEOUT)?)
            .half_open_max(self.layer.get(&keys::BREAKER_HALF_OPEN)?)
            .successes(self.layer.get(&keys::BREAKER_SUCCESSES)?);
        Some(options)
    }

    pub(crate) fn retention(&self) -> Retention {
        let kept = |key, default| self.layer.get(key).unwrap_or(default);
        let built_in = Retention::default();
        Retention {
            completed: kept(&keys::KEEP_COMPLETED, built_in.completed),
            cancelled: kept(&keys::KEEP_CANCELLED, built_in.cancelled),
            dead: kept(&keys::KEEP_DEAD, built_in.dead),
        }
    }

    /// The flags where the program has none of its own: variables, then the file.
    pub(crate) fn features(&self) -> EnvFlags {
        let flags = StaticFlags::new();
        for (name, (active, _)) in &self.features {
            flags.set(name, *active);
        }
        EnvFlags::new().or(flags)
    }
}
