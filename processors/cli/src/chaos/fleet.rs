//! The victims: components as processes of their own under a supervisor that starts again what has ended as fenced, and
//! the servers of the local parts.
//!
//! A component that ends with a code that nobody ordered, other than as fenced, ends the run with the end of its log. One
//! that crashes is started again too, so that the run can show what the crash did to the data; but the run has failed.
//! What is absent: who is struck when (see [`super::plan`]).

use super::plan::{Deed, Victim, Way};
use crate::clock;
use crate::component::{self, Component, signal};
use crate::rig::{BROKERS, Events, REGISTRY, Site};
use crate::run::{DRAINING, PROCESSORS};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_kafka::app::EXIT_FENCED;

/// How long a component may take to end on SIGTERM. It answers within seconds if Kafka does; if the broker is away too, it
/// waits for a request's time-out (30 s) and its retry first.
const END_PATIENCE: Duration = Duration::from_secs(120);

/// A process and what is under way with it.
struct Member {
    name: &'static str,
    process: Component,
    /// SIGSTOP was sent: SIGCONT follows then.
    resumes_at: Option<Instant>,
    /// SIGTERM was sent: it must have ended by then.
    ends_by: Option<Instant>,
    /// Whether it is started again when it has ended.
    stays: bool,
}

/// A server under way.
enum Outage {
    /// SIGCONT to this process then.
    Paused { process_id: u32, resumes_at: Instant },
    /// The parts' script is starting it again.
    Starting(JoinHandle<Result<()>>),
}

/// Running components, by instance name, and the servers' outages, by part.
pub(super) struct Fleet<'a> {
    site: &'a Site,
    members: BTreeMap<String, Member>,
    outages: BTreeMap<String, Outage>,
    /// How often a component ended as fenced and was started again.
    pub(super) fenced: u64,
    /// Crashes that nobody ordered: instance and signal.
    pub(super) crashes: Vec<String>,
}

impl<'a> Fleet<'a> {
    /// One instance of each of `names`.
    pub(super) fn start(site: &'a Site, names: &[&'static str]) -> Result<Self> {
        let mut fleet =
            Self { site, members: BTreeMap::new(), outages: BTreeMap::new(), fenced: 0, crashes: Vec::new() };
        for name in names {
            fleet.add(name, 1)?;
        }
        Ok(fleet)
    }

    /// One instance of each processor, sink and the clock.
    pub(super) fn start_all(site: &'a Site) -> Result<Self> {
        Self::start(site, &[&DRAINING[..], &[clock::NAME]].concat())
    }

    fn add(&mut self, name: &'static str, number: u32) -> Result<()> {
        let instance = format!("{name}-{number}");
        let process = self.spawn(name, &instance)?;
        self.members.insert(instance, Member { name, process, resumes_at: None, ends_by: None, stays: true });
        Ok(())
    }

    fn spawn(&self, name: &str, instance: &str) -> Result<Component> {
        let mut command = component::command(&self.site.executables, name)?;
        self.site.environment(&mut command);
        Component::spawn(command, name, instance, self.site.log(instance))
    }

    /// Where the one instance of each processor serves HTTP.
    pub(super) fn processors_http(&mut self) -> Result<Vec<(&'static str, SocketAddr)>> {
        let mut addresses = Vec::new();
        for member in self.members.values_mut().filter(|member| PROCESSORS.contains(&member.name)) {
            member.process.wait_http()?;
            addresses.extend(member.process.http().map(|http| (member.name, http)));
        }
        Ok(addresses)
    }

    /// Whether a deed must wait until an earlier one is over. At most one broker is down at a time: two of three are needed.
    pub(super) fn is_busy(&self, deed: &Deed) -> bool {
        let under_way = |part: &str| self.outages.contains_key(part);
        let any_broker = || BROKERS.iter().any(|part| under_way(part));
        match deed {
            // The registry can't start without Kafka, and the parts' script starts one part after the other.
            Deed::Strike { victim: Victim::Part(REGISTRY), .. } => under_way(REGISTRY) || any_broker(),
            Deed::Strike { victim: Victim::Part(part), .. } => {
                under_way(part) || (BROKERS.contains(part) && (under_way(REGISTRY) || any_broker()))
            }
            Deed::Strike { victim: Victim::Leader, .. } => under_way(REGISTRY) || any_broker(),
            _ => false,
        }
    }

    /// Does it; says to whom it was done.
    pub(super) fn perform(&mut self, deed: &Deed) -> Result<String> {
        match deed {
            Deed::Strike { victim: Victim::Component(name), pick, way } => self.strike_component(name, *pick, *way),
            Deed::Strike { victim: Victim::Part(part), way, .. } => self.strike_part(part, *way),
            Deed::Strike { victim: Victim::Leader, way, .. } => {
                let leader = self.site.leading_broker()?;
                self.strike_part(leader, *way)
            }
            Deed::Scale { processor, instances } => self.scale(processor, *instances),
            Deed::RestartAll => {
                let instances: Vec<String> = self.members.keys().cloned().collect();
                instances.iter().try_for_each(|instance| self.terminate(instance, true))?;
                Ok(format!("{} processes", instances.len()))
            }
        }
    }

    fn strike_component(&mut self, name: &str, pick: u32, way: Way) -> Result<String> {
        let running: Vec<&String> =
            self.members.iter().filter(|(_, member)| member.name == name && member.stays).map(|(at, _)| at).collect();
        ensure!(!running.is_empty(), "{name} has no instance");
        let instance = running[pick as usize % running.len()].clone();
        self.resume(&instance)?;
        match way {
            Way::Kill => self.kill(&instance)?,
            Way::Terminate => self.terminate(&instance, true)?,
            Way::Pause(time) => self.pause(&instance, time)?,
        }
        Ok(instance)
    }

    fn member(&mut self, instance: &str) -> Result<&mut Member> {
        self.members.get_mut(instance).with_context(|| format!("{instance} does not run"))
    }

    fn kill(&mut self, instance: &str) -> Result<()> {
        if self.member(instance)?.process.ended()?.is_none() {
            self.member(instance)?.process.signal(Signal::KILL)?;
        }
        self.restart(instance)
    }

    /// Its old process is killed if it still runs.
    fn restart(&mut self, instance: &str) -> Result<()> {
        let name = self.member(instance)?.name;
        let process = self.spawn(name, instance)?;
        *self.member(instance)? = Member { name, process, resumes_at: None, ends_by: None, stays: true };
        Ok(())
    }

    /// Ends an instance by SIGTERM; it is started again then if it `stays`.
    pub(super) fn terminate(&mut self, instance: &str, stays: bool) -> Result<()> {
        self.resume(instance)?;
        let member = self.member(instance)?;
        member.stays = stays;
        if member.process.ended()?.is_none() {
            member.process.signal(Signal::TERM)?;
        }
        member.ends_by = Some(Instant::now() + END_PATIENCE);
        Ok(())
    }

    fn pause(&mut self, instance: &str, time: Duration) -> Result<()> {
        let member = self.member(instance)?;
        if member.process.ended()?.is_none() {
            member.process.signal(Signal::STOP)?;
            member.resumes_at = Some(Instant::now() + time);
        }
        Ok(())
    }

    fn resume(&mut self, instance: &str) -> Result<()> {
        let member = self.member(instance)?;
        if member.resumes_at.take().is_some() && member.process.ended()?.is_none() {
            member.process.signal(Signal::CONT)?;
        }
        Ok(())
    }

    fn scale(&mut self, name: &'static str, instances: u32) -> Result<String> {
        for number in 1..=instances {
            let instance = format!("{name}-{number}");
            match self.members.get_mut(&instance) {
                Some(member) => member.stays = true,
                None => self.add(name, number)?,
            }
        }
        let beyond = (instances + 1..).map(|number| format!("{name}-{number}"));
        for instance in beyond.take_while(|instance| self.members.contains_key(instance)).collect::<Vec<_>>() {
            self.terminate(&instance, false)?;
        }
        Ok(format!("{name}-1 to {name}-{instances}"))
    }

    fn strike_part(&mut self, part: &'static str, way: Way) -> Result<String> {
        let outage = match way {
            Way::Kill => {
                self.site.kill(part)?;
                Outage::Starting(self.site.parts_in_background(vec![vec!["up", part]])?)
            }
            Way::Terminate => {
                Outage::Starting(self.site.parts_in_background(vec![vec!["down", part], vec!["up", part]])?)
            }
            Way::Pause(time) => {
                let process_id = self.site.process_of(part)?;
                signal(process_id, Signal::STOP)?;
                Outage::Paused { process_id, resumes_at: Instant::now() + time }
            }
        };
        self.outages.insert(part.to_owned(), outage);
        Ok(part.to_owned())
    }

    /// Kills a server and leaves it down until [`Self::bring_up`].
    pub(super) fn kill_and_keep_down(&mut self, part: &'static str) -> Result<()> {
        self.site.kill(part)
    }

    /// Starts a server that is down.
    pub(super) fn bring_up(&mut self, part: &'static str) -> Result<()> {
        let starting = self.site.parts_in_background(vec![vec!["up", part]])?;
        self.outages.insert(part.to_owned(), Outage::Starting(starting));
        Ok(())
    }

    /// Looks after everything that is under way: resumes what has been paused long enough, starts again what has ended.
    /// Call it often.
    pub(super) fn tick(&mut self, events: &mut Events) -> Result<()> {
        self.tend_parts()?;
        let instances: Vec<String> = self.members.keys().cloned().collect();
        for instance in instances {
            self.tend(&instance, events)?;
        }
        Ok(())
    }

    fn tend_parts(&mut self) -> Result<()> {
        for part in self.outages.keys().cloned().collect::<Vec<_>>() {
            match self.outages.remove(&part) {
                Some(Outage::Paused { process_id, resumes_at }) if resumes_at <= Instant::now() => {
                    signal(process_id, Signal::CONT)?;
                }
                Some(Outage::Starting(starting)) if starting.is_finished() => {
                    starting.join().map_err(|_| anyhow::anyhow!("starting {part} panicked"))??;
                }
                Some(under_way) => drop(self.outages.insert(part, under_way)),
                None => {}
            }
        }
        Ok(())
    }

    fn tend(&mut self, instance: &str, events: &mut Events) -> Result<()> {
        let member = self.member(instance)?;
        if member.resumes_at.is_some_and(|at| at <= Instant::now()) {
            return self.resume(instance);
        }
        let Some(status) = member.process.ended()? else {
            let overdue = member.ends_by.is_some_and(|by| by <= Instant::now());
            ensure!(
                !overdue,
                "{instance} has not ended {END_PATIENCE:?} after SIGTERM:\n{}",
                member.process.log_tail()
            );
            return Ok(());
        };
        let ordered = member.ends_by.is_some();
        match status.code() {
            Some(0) if ordered => {}
            // It had just been started and caught no signals yet.
            None if ordered && status.signal() == Some(Signal::TERM.as_raw()) => {}
            Some(code) if code == i32::from(EXIT_FENCED) => {
                self.fenced += 1;
                events.note(&format!("{instance} has ended as fenced"));
            }
            None => {
                let crash = format!("{instance} has crashed: {}", describe(status));
                events.note(&crash);
                self.crashes.push(crash);
            }
            _ => bail!("{instance} has ended with {}:\n{}", describe(status), member.process.log_tail()),
        }
        if self.member(instance)?.stays {
            return self.restart(instance);
        }
        self.members.remove(instance);
        Ok(())
    }

    /// Whether all processes run, none of them paused or about to end, and all servers too.
    pub(super) fn is_whole(&self) -> bool {
        let settled = |member: &Member| member.resumes_at.is_none() && member.ends_by.is_none();
        self.outages.is_empty() && self.members.values().all(settled)
    }

    /// Whether all processes say so themselves.
    pub(super) fn are_ready(&mut self) -> Result<bool> {
        for member in self.members.values_mut() {
            if member.process.http().is_none() {
                member.process.wait_http()?;
            }
            if member.process.get("/readyz")?.0 != 200 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The instances of these components, component by component.
    pub(super) fn instances_of(&self, names: &[&str]) -> Vec<String> {
        let of = |name: &&str| {
            let members = self.members.iter().filter(|(_, member)| member.name == *name);
            members.map(|(instance, _)| instance.clone()).collect::<Vec<_>>()
        };
        names.iter().flat_map(of).collect()
    }

    /// Instance name and process id of every component.
    pub(super) fn components(&self) -> Vec<(String, u32)> {
        self.members.iter().map(|(instance, member)| (instance.clone(), member.process.id())).collect()
    }

    /// Whether an instance of a component runs.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.members.values().any(|member| member.name == name)
    }

    /// Tells the clock to end, so that the log comes to an end.
    pub(super) fn stop_clock(&mut self) -> Result<()> {
        self.terminate(&format!("{}-1", clock::NAME), false)
    }

    /// Ends all by SIGTERM.
    pub(super) fn stop(mut self, events: &mut Events) -> Result<()> {
        for instance in self.members.keys().cloned().collect::<Vec<_>>() {
            self.terminate(&instance, false)?;
        }
        while !self.members.is_empty() {
            self.tick(events)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Fleet<'_> {
    /// A server must not be left standing still.
    fn drop(&mut self) {
        for outage in self.outages.values() {
            if let Outage::Paused { process_id, .. } = outage {
                let _ = signal(*process_id, Signal::CONT);
            }
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
