//! What a fire notes while it runs; nothing is allocated until there is something to note.

use std::any::TypeId;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::report::{FireReport, HandlerFailure, SkipReason, Skipped, VetoedBy};
use crate::handler::{HandlerError, HandlerInfo, Veto};
use crate::point::ExtensionPoint;

pub(super) struct Tally<P: ExtensionPoint> {
    pub(super) report: FireReport,
    pub(super) outputs: Vec<(Arc<HandlerInfo>, P::Output)>,
}

impl<P: ExtensionPoint> Tally<P> {
    #[cold]
    fn fresh() -> Box<Self> {
        let report = FireReport::new(P::info().name);
        Box::new(Self { report, outputs: Vec::new() })
    }

    pub(super) fn ensure(tally: &mut Option<Box<Self>>) -> &mut Self {
        tally.get_or_insert_with(Self::fresh)
    }

    pub(super) fn skip(tally: &mut Option<Box<Self>>, handler: &Arc<HandlerInfo>, reason: SkipReason) {
        Self::ensure(tally).report.skipped.push(Skipped { handler: Arc::clone(handler), reason });
    }

    pub(super) fn time(tally: &mut Option<Box<Self>>, handler: &HandlerInfo, took: Duration) {
        Self::ensure(tally).report.durations.push((handler.name.clone().into_owned(), took));
    }

    pub(super) fn fail(tally: &mut Option<Box<Self>>, handler: &Arc<HandlerInfo>, error: HandlerError) {
        let failure = HandlerFailure { handler: Arc::clone(handler), error };
        Self::ensure(tally).report.errors.push(failure);
    }

    /// Notes a veto by a guard that could not say what it thinks. The first veto stays.
    pub(super) fn deny(tally: &mut Option<Box<Self>>, handler: &Arc<HandlerInfo>, reason: String) {
        let veto = VetoedBy { handler: Arc::clone(handler), veto: Veto::new(reason), unavailable: true };
        Self::ensure(tally).report.veto.get_or_insert(veto);
    }

    /// Notes an output; breaks where it is a veto.
    pub(super) fn output(
        tally: &mut Option<Box<Self>>,
        handler: &Arc<HandlerInfo>,
        output: P::Output,
    ) -> ControlFlow<()> {
        let tally = Self::ensure(tally);
        let veto = P::__veto(&output).map(|veto| VetoedBy {
            handler: Arc::clone(handler),
            veto: veto.clone(),
            unavailable: false,
        });
        tally.outputs.push((Arc::clone(handler), output));
        match veto {
            Some(veto) => {
                tally.report.veto.get_or_insert(veto);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    }
}

/// Whether a point has no outputs.
#[inline]
pub(super) fn is_unit<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<()>()
}
