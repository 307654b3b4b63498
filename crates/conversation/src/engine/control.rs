//! State that the engines of a stream share with those that watch and stop them.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use ring_core::Interrupter;

use crate::api::statistics::Statistics;
use crate::engine::counters::Counters;
use crate::queue::gate::Gate;

/// State that the engines of one stream share with its holders.
#[derive(Debug)]
pub(crate) struct Control {
    stop: AtomicBool,
    members: Box<[Member]>,
    /// Engines that have not ended.
    running: AtomicUsize,
    /// Notified when the last of them ends.
    #[cfg(not(loom))]
    ended: tokio::sync::Notify,
    gate: Arc<Gate>,
}

/// An engine that has not ended: for its owner to drop after everything else that it has.
#[derive(Debug)]
pub(crate) struct Running(Arc<Control>);

/// One engine, seen from outside.
#[derive(Debug)]
struct Member {
    interrupter: Option<Interrupter>,
    counters: Arc<Counters>,
    /// It is to look around.
    nudged: AtomicBool,
    /// The waker of an engine that is a task.
    task: Mutex<Option<Waker>>,
}

impl Control {
    pub(crate) fn new(
        interrupters: impl IntoIterator<Item = Option<Interrupter>>,
        gate: Arc<Gate>,
    ) -> Arc<Self> {
        let members = interrupters
            .into_iter()
            .map(|interrupter| Member {
                interrupter,
                counters: Arc::default(),
                nudged: AtomicBool::new(false),
                task: Mutex::default(),
            })
            .collect();
        Arc::new(Self {
            stop: AtomicBool::new(false),
            members,
            running: AtomicUsize::new(0),
            #[cfg(not(loom))]
            ended: tokio::sync::Notify::new(),
            gate,
        })
    }

    /// An engine begins.
    pub(crate) fn run(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Returns `true` if no engine goes on.
    pub(crate) fn is_finished(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// Completes when the last engine ends after this call, even before the first poll.
    #[cfg(not(loom))]
    pub(crate) fn ended(&self) -> tokio::sync::futures::Notified<'_> {
        self.ended.notified()
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn counters(&self, member: usize) -> &Arc<Counters> {
        &self.members[member].counters
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.gate.open();
        self.interrupt();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Makes the engines look around.
    pub(crate) fn interrupt(&self) {
        for member in &self.members {
            member.nudged.store(true, Ordering::SeqCst);
            if let Some(interrupter) = &member.interrupter {
                interrupter.interrupt();
            }
            let task = mem::take(&mut *member.task.lock().unwrap_or_else(PoisonError::into_inner));
            task.into_iter().for_each(Waker::wake);
        }
    }

    /// Called by an engine that is a task, before it waits: whether it was nudged meanwhile. If
    /// not, `waker` will be woken when it is.
    #[cfg(not(loom))]
    pub(crate) fn was_nudged(&self, member: usize, waker: &Waker) -> bool {
        let member = &self.members[member];
        *member.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        member.nudged.swap(false, Ordering::SeqCst)
    }

    /// Totals of one engine so far; the first also reports the queues that all share.
    pub(crate) fn member_statistics(&self, member: usize) -> Statistics {
        let mut statistics = self.counters(member).snapshot();
        if member == 0 {
            self.gate.depths(&mut statistics);
        }
        statistics
    }

    /// Totals of each engine so far, without the queues that all share.
    pub(crate) fn each_member(&self) -> Vec<Statistics> {
        self.members.iter().map(|member| member.counters.snapshot()).collect()
    }

    /// Totals of all engines so far, and the queues that they share.
    pub(crate) fn statistics(&self) -> Statistics {
        let mut sum = Statistics::default();
        for member in &self.members {
            sum.merge(&member.counters.snapshot());
        }
        self.gate.depths(&mut sum);
        sum
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            #[cfg(not(loom))]
            self.0.ended.notify_waiters();
        }
    }
}
