//! `#[async_handler(…)]`, and the options of `declare_handler!`.

use proc_macro2::TokenStream;
use syn::Ident;
use syn::parse::{ParseStream, Parser};

use super::backoff::BackoffValue;
use super::options;
use crate::errors::Errors;
use crate::keys;
use crate::root::Root;
use crate::slot::Slot;
use crate::suggest;
use crate::value::{
    Attempts, DiscardMissing, FieldNames, Length, Positive, Rank, Switch, Text, Texts, Timeout, UntilStart,
    ValuePath, Waits,
};

#[derive(Default)]
pub(crate) struct AsyncOptions {
    pub(crate) queue: Slot<Text>,
    pub(crate) delay: Slot<Length>,
    pub(crate) retries: Slot<Attempts>,
    pub(crate) max_attempts: Slot<Attempts>,
    pub(crate) backoff: Slot<BackoffValue>,
    pub(crate) backoff_seconds: Slot<Waits>,
    pub(crate) timeout: Slot<Timeout>,
    pub(crate) on_failure: Slot<ValuePath>,
    pub(crate) on_retry: Slot<ValuePath>,
    pub(crate) unique: Slot<Switch>,
    pub(crate) unique_for: Slot<Positive>,
    pub(crate) unique_by: Slot<FieldNames>,
    pub(crate) unique_until: Slot<UntilStart>,
    pub(crate) priority: Slot<Rank>,
    pub(crate) tags: Slot<Texts>,
    pub(crate) retry_until: Slot<Positive>,
    pub(crate) expires_in: Slot<Positive>,
    pub(crate) missing: Slot<DiscardMissing>,
    pub(crate) blocking: Slot<Switch>,
    pub(crate) root: Slot<Root>,
}

impl AsyncOptions {
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut all = Self::default();
        let read = (|input: ParseStream<'_>| {
            all.read_all(input, errors);
            Ok(())
        })
        .parse2(args);
        errors.take(read);
        all
    }

    pub(crate) fn read_all(&mut self, input: ParseStream<'_>, errors: &mut Errors) {
        options::each(input, errors, |key, input, errors| self.read(key, input, errors));
    }

    fn read(&mut self, key: &Ident, input: ParseStream<'_>, errors: &mut Errors) {
        match key.to_string().as_str() {
            keys::QUEUE => self.queue.read(key, input, errors),
            keys::DELAY => self.delay.read(key, input, errors),
            keys::RETRIES => self.retries.read(key, input, errors),
            keys::MAX_ATTEMPTS => self.max_attempts.read(key, input, errors),
            keys::BACKOFF => self.backoff.read(key, input, errors),
            keys::BACKOFF_SECONDS => self.backoff_seconds.read(key, input, errors),
            keys::TIMEOUT => self.timeout.read(key, input, errors),
            keys::ON_FAILURE => self.on_failure.read(key, input, errors),
            keys::ON_RETRY => self.on_retry.read(key, input, errors),
            keys::UNIQUE => self.unique.read(key, input, errors),
            keys::UNIQUE_FOR => self.unique_for.read(key, input, errors),
            keys::UNIQUE_BY => self.unique_by.read(key, input, errors),
            keys::UNIQUE_UNTIL => self.unique_until.read(key, input, errors),
            keys::PRIORITY => self.priority.read(key, input, errors),
            keys::TAGS => self.tags.read(key, input, errors),
            keys::RETRY_UNTIL => self.retry_until.read(key, input, errors),
            keys::EXPIRES_IN => self.expires_in.read(key, input, errors),
            keys::MISSING => self.missing.read(key, input, errors),
            keys::BLOCKING => self.blocking.read(key, input, errors),
            keys::CRATE => self.root.read(key, input, errors),
            other => errors.at(key.span(), refused(other)),
        }
    }
}

fn refused(key: &str) -> String {
    if keys::ASYNC_LATER.contains(&key) {
        return format!("`{key}` is not supported yet; remove it");
    }
    if keys::HANDLER.contains(&key) {
        return format!(
            "`{key}` is an option of the attachment; write `#[extension_handler(MyPoint, {key} …)]`"
        );
    }
    format!("unknown option `{key}`; {}", suggest::hint(key, keys::ASYNC))
}
