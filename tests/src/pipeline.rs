//! All components as separate processes, with restarts by order of a test and a watch for ends that no test ordered.

use crate::parts::Stack;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tapeline_cli::component::Component;
use tapeline_kafka::app::EXIT_FENCED;

/// Processors, in the order of the flow.
pub const PROCESSORS: [&str; 3] = ["validator", "executor", "settler"];
/// Sinks.
pub const SINKS: [&str; 2] = ["timescale", "clickhouse"];
/// What drains: processors and sinks.
pub const DRAINING: [&str; 5] = ["validator", "executor", "settler", "timescale", "clickhouse"];

/// How long a component may take to be ready: it may have to restore, and to wait for the session of a killed one.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// How long a component may take to end when it is asked to.
pub const END_PATIENCE: Duration = Duration::from_secs(10);

/// Starts the component `name` and waits until it answers over HTTP.
fn start(stack: &Stack, name: &str) -> Result<Component> {
    let (command, instance) = (stack.component_command(name)?, format!("e2e-{name}"));
    let mut component = Component::spawn(command, name, &instance, stack.log(name))?;
    component.wait_http()?;
    Ok(component)
}

/// The same under the name `instance`, with a log of its own: for several processes of one component.
///
/// # Errors
/// If it does not answer; the error has its log.
pub fn start_as(stack: &Stack, name: &str, instance: &str) -> Result<Component> {
    let mut component = Component::spawn(stack.component_command(name)?, name, instance, stack.log(instance))?;
    component.wait_http()?;
    Ok(component)
}

/// Running components by name.
pub struct Pipeline<'a> {
    stack: &'a Stack,
    components: BTreeMap<String, Component>,
    /// How often a component ended as fenced and was started again by [`Self::revive_fenced`].
    pub revived: u32,
}

impl<'a> Pipeline<'a> {
    /// Starts the components `names` and waits until all are ready.
    ///
    /// # Errors
    /// If one is not.
    pub fn start(stack: &'a Stack, names: &[&str]) -> Result<Self> {
        let mut pipeline = Self { stack, components: BTreeMap::new(), revived: 0 };
        for name in names {
            pipeline.components.insert((*name).to_owned(), start(stack, name)?);
        }
        pipeline.wait_ready()?;
        Ok(pipeline)
    }

    /// Starts processors, sinks and clock.
    ///
    /// # Errors
    /// If one is not ready in time.
    pub fn start_all(stack: &'a Stack) -> Result<Self> {
        Self::start(stack, &[&DRAINING[..], &["clock"]].concat())
    }

    /// Waits until all are ready.
    ///
    /// # Errors
    /// If one is not in time.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.components.values_mut().try_for_each(|component| component.wait_ready(READY_PATIENCE))
    }

    /// The component `name`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn component(&self, name: &str) -> Result<&Component> {
        self.components.get(name).with_context(|| format!("{name} does not run"))
    }

    /// Kills a component by SIGKILL and starts it again under the same name; does not wait until it is ready.
    ///
    /// # Errors
    /// If it had ended before, or does not start.
    pub fn kill9_and_restart(&mut self, name: &str) -> Result<()> {
        self.kill9(name)?;
        self.start_again(name)
    }

    /// Kills a component by SIGKILL and leaves it dead.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn kill9(&mut self, name: &str) -> Result<()> {
        self.components.remove(name).with_context(|| format!("{name} does not run"))?.kill9()
    }

    /// Starts a component again under the name that it had; does not wait until it is ready.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(&mut self, name: &str) -> Result<()> {
        self.components.insert(name.to_owned(), start(self.stack, name)?);
        Ok(())
    }

    /// Ends one component by SIGTERM.
    ///
    /// # Errors
    /// If it does not end with code 0 in time.
    pub fn terminate(&mut self, name: &str) -> Result<()> {
        self.components.remove(name).with_context(|| format!("{name} does not run"))?.terminate(END_PATIENCE)
    }

    /// Checks that all still run.
    ///
    /// # Errors
    /// If one has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        for component in self.components.values_mut() {
            if let Some(status) = component.ended()? {
                bail!("{} ended by itself with {status}", component.name);
            }
        }
        Ok(())
    }

    /// Starts again what has ended as fenced, as a supervisor of processes does.
    ///
    /// # Errors
    /// If a component has ended in another way.
    pub fn revive_fenced(&mut self) -> Result<()> {
        for component in self.components.values_mut() {
            match component.ended()? {
                None => {}
                Some(status) if status.code() == Some(EXIT_FENCED.into()) => {
                    let name = component.name.clone();
                    println!("{name} ended as fenced and is started again");
                    *component = start(self.stack, &name)?;
                    self.revived += 1;
                }
                Some(status) => bail!("{} ended by itself with {status}", component.name),
            }
        }
        Ok(())
    }

    /// Brings the pipeline to rest: ends the clock, waits until everything is taken, and checks that all still run.
    ///
    /// # Errors
    /// If that takes longer than `patience`, or a component has ended.
    pub fn rest(&mut self, patience: Duration) -> Result<()> {
        if self.components.contains_key("clock") {
            self.terminate("clock")?;
        }
        let running: Vec<&str> = DRAINING.into_iter().filter(|name| self.components.contains_key(*name)).collect();
        let started_at = Instant::now();
        self.stack.drain(&running, patience)?;
        println!("at rest after {:.1} s", started_at.elapsed().as_secs_f64());
        self.check_alive()
    }

    /// Ends all components by SIGTERM, one after the other.
    ///
    /// # Errors
    /// If one does not end with code 0 in time.
    pub fn stop(mut self) -> Result<()> {
        let names: Vec<String> = self.components.keys().cloned().collect();
        names.iter().try_for_each(|name| self.terminate(name))
    }
}
