//! The processes of the world: their lives and restarts, how many there are of each component.

use super::{Handle, MOST_MEMBERS, World};
use crate::audit::Invariant;
use crate::member::{Component, Life, start};
use crate::sinks::Store;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use tapeline_runtime::lane::LaneError;

pub(super) struct Slot {
    component: Component,
    /// Number of the instance: names differ, unless two are started under one name.
    instance: u64,
    life: Option<(Rc<Handle>, Box<dyn Life>)>,
    /// Of a life whose turn it is; it stands on the stack.
    busy: Option<Rc<Handle>>,
    starts_at_ms: i64,
    retired: bool,
}

impl Slot {
    /// The life that is up, on the stack or not.
    pub(super) fn running(&self) -> Option<&Rc<Handle>> {
        self.busy.as_ref().or(self.life.as_ref().map(|(handle, _)| handle))
    }
}

impl World {
    pub(super) fn add_process(&self, component: Component) {
        let mut slots = self.slots.borrow_mut();
        // Seldom, a second one is started under the name of a running one, which it must take over from.
        let twin = slots.iter().find(|slot| slot.component == component && !slot.retired).map(|slot| slot.instance);
        let instance = twin.filter(|_| self.draw(|dice| dice.chance(100_000))).unwrap_or(slots.len() as u64);
        slots.push(Slot { component, instance, life: None, busy: None, starts_at_ms: 0, retired: false });
    }

    pub(super) fn scale(&self, component: Component) {
        let of_it = |slot: &&mut Slot| slot.component == component && !slot.retired;
        let running = self.slots.borrow_mut().iter_mut().filter(of_it).count();
        if running < 2 || (running < MOST_MEMBERS && self.draw(|dice| dice.chance(500_000))) {
            self.note(format_args!("{} gets one more process", component.name()));
            self.add_process(component);
            return;
        }
        let chosen = self.draw(|dice| dice.index(running));
        let mut slots = self.slots.borrow_mut();
        let leaving = slots.iter_mut().filter(of_it).nth(chosen).and_then(|slot| {
            slot.retired = true;
            slot.life.take()
        });
        drop(slots);
        self.note(format_args!("{} loses a process", component.name()));
        drop(leaving);
    }

    /// One round of a process, which is started if it is down and its time has come.
    pub(crate) fn step_process(self: &Rc<Self>, index: usize) {
        let now_ms = self.broker.borrow().clock_ms;
        let Some((handle, life)) = self.take_life(index, now_ms) else { return };
        let stepped = match life {
            Some(mut life) => life.step().map(|()| life),
            None => start(self, &handle),
        };
        let (kept, error) = match stepped {
            Ok(life) if !handle.killed.get() => (Some(life), None),
            Ok(_) => (None, None),
            Err(error) => (None, Some(error)),
        };
        let retired = self.slots.borrow().get(index).is_some_and(|slot| slot.retired);
        let restart_in_ms = self.draw(|dice| dice.pick(&[0, 20, 300, 5_000]));
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(index) else { return };
        slot.busy = None;
        match kept {
            Some(life) if !retired => slot.life = Some((Rc::clone(&handle), life)),
            Some(life) => {
                drop(slots);
                drop(life);
                return;
            }
            None => slot.starts_at_ms = now_ms + restart_in_ms,
        }
        drop(slots);
        if !self.is_over() {
            self.ended(&handle, error);
        }
    }

    /// The handle and, if it is up, the life of a process whose turn it is.
    #[allow(clippy::type_complexity, reason = "used once, and named here")]
    fn take_life(&self, index: usize, now_ms: i64) -> Option<(Rc<Handle>, Option<Box<dyn Life>>)> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(index).filter(|slot| slot.busy.is_none() && !slot.retired)?;
        let (handle, life) = match slot.life.take() {
            Some((handle, life)) => (handle, Some(life)),
            None if slot.starts_at_ms > now_ms => return None,
            None => {
                let name = format!("{}-{}-0", slot.component.name(), slot.instance);
                let (paused, killed, member) = (Cell::new(false), Cell::new(false), Cell::new(0));
                (Rc::new(Handle { component: slot.component, name, paused, killed, member }), None)
            }
        };
        slot.busy = Some(Rc::clone(&handle));
        Some((handle, life))
    }

    fn ended(&self, handle: &Handle, error: Option<LaneError>) {
        let Some(error) = error else {
            if handle.killed.get() {
                self.stats.borrow_mut().restarts += 1;
            }
            return;
        };
        self.stats.borrow_mut().restarts += 1;
        if !handle.killed.get() {
            self.note(format_args!("{} ends: {error}", handle.name));
        }
        match error {
            LaneError::Fenced(_) => self.stats.borrow_mut().fenced += 1,
            LaneError::Fatal(why) => self.violate(Invariant::Determinism, format!("{} stopped: {why}", handle.name)),
            LaneError::Away(_) => {}
        }
    }

    /// Batches that the databases have taken.
    pub(crate) fn writes(&self) -> u64 {
        let of = |store: &Store| store.lock().map_or(0, |database| database.writes);
        of(&self.timescale) + of(&self.clickhouse)
    }

    /// The database of a sink.
    pub(crate) const fn view(&self, component: Component) -> Option<&Store> {
        match component {
            Component::Timescale => Some(&self.timescale),
            Component::Clickhouse => Some(&self.clickhouse),
            Component::Validator | Component::Executor | Component::Settler => None,
        }
    }

    /// Processes and groups as they are, for a run that does not finish.
    pub(crate) fn describe(&self) -> String {
        let mut lines = Vec::new();
        for slot in self.slots.borrow().iter().filter(|slot| !slot.retired) {
            let (up, busy) = (slot.life.as_ref().map(|(handle, _)| handle.member.get()), slot.busy.is_some());
            lines.push(format!("{} {}: member {up:?}, busy {busy}", slot.component.name(), slot.instance));
        }
        lines.extend(self.broker.borrow().groups.iter().map(|(name, group)| format!("{name}: {group:?}")));
        lines.join("\n")
    }

    pub(crate) fn processes(&self) -> usize {
        self.slots.borrow().len()
    }

    /// What is down starts soon. Of processes under one name only the youngest stays: restarted again and again, they
    /// would fence each other for ever.
    pub(super) fn processes_come_back(&self) {
        let now_ms = self.broker.borrow().clock_ms;
        let mut names = BTreeSet::new();
        let mut ending = Vec::new();
        for slot in self.slots.borrow_mut().iter_mut().rev().filter(|slot| !slot.retired) {
            slot.starts_at_ms = slot.starts_at_ms.min(now_ms + 1_000);
            if !names.insert((slot.component, slot.instance)) {
                slot.retired = true;
                ending.extend(slot.life.take());
            }
        }
        // A life leaves its group when it is dropped, for which the slots must be free.
        drop(ending);
    }
}
