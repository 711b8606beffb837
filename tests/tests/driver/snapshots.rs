//! Restarts from snapshots: only what came since is replayed, what is damaged is passed over, and a clean end leaves
//! nothing to replay.

use crate::world::{World, decoder, generated};
use std::collections::BTreeMap;
use tapeline_runtime::port::Record;
use tapeline_schemas::codec::{Encoder, Wire};
use tapeline_schemas::wire::{Settlement, SnapshotManifest, SnapshotPart};
use tapeline_schemas::{topic, wire};

const PARTITIONS: [i32; 2] = [0, 1];

/// A snapshots' record with what it says.
type Part = (Record, SnapshotPart);

fn parts(world: &World, component: &str, partition: i32) -> Vec<Part> {
    let mut decoder = decoder::<SnapshotPart>(&world.ids);
    let records = world.log.records(&format!("{component}.snapshots"));
    let of_partition = records.into_iter().filter(|record| record.partition == partition);
    of_partition.map(|record| (record.clone(), decoder.decode(record.payload.as_deref()).unwrap())).collect()
}

/// Manifests of a partition, oldest first, with their offsets.
fn manifests(world: &World, component: &str, partition: i32) -> Vec<(i64, SnapshotManifest)> {
    let parts = parts(world, component, partition);
    parts.into_iter().filter_map(|(record, part)| Some((record.offset, part.manifest?))).collect()
}

/// Lets the log begin where a restart from the snapshot `back` places before the newest begins.
fn forget_before(world: &World, component: &str, back: usize) {
    for partition in PARTITIONS {
        let all = manifests(world, component, partition);
        let (_, manifest) = &all[all.len() - 1 - back];
        world.log.forget(&format!("{component}.journal"), partition, manifest.journal_offset);
        for position in manifest.positions.iter().filter(|position| position.partition == partition) {
            world.log.forget(&position.topic, partition, position.next_offset);
        }
    }
}

/// Changes each record of a partition's snapshots as `change` says.
fn rewrite(world: &World, component: &str, partition: i32, mut change: impl FnMut(i64, &mut SnapshotPart)) {
    let mut decoder = decoder::<SnapshotPart>(&world.ids);
    let encoder = Encoder::new(world.ids.registered_id("", SnapshotPart::SCHEMA_JSON).unwrap());
    world.log.damage(&format!("{component}.snapshots"), partition, |record| {
        let mut part = decoder.decode(record.payload.as_deref()).unwrap();
        change(record.offset, &mut part);
        let mut payload = Vec::new();
        encoder.encode(&part, &mut payload);
        record.payload = Some(payload);
    });
}

/// Drops the lanes of validator and executor without warning, as a crash does, and sends more orders through new ones.
fn crash_and_go_on(world: &mut World) {
    (world.validator.lane, world.executor.lane) = (None, None);
    let before = world.log.records(topic::SETTLED).len();
    let commands: Vec<wire::Command> = world.read(topic::ORDERS);
    let deposit = commands.iter().find(|command| command.kind == wire::CommandKind::Deposit).unwrap();
    for number in 0..30 {
        let again = wire::Command { client_order_id: format!("again{number}").into(), ..deposit.clone() };
        world.publish(topic::ORDERS, &deposit.account, &again);
    }
    world.run_to_rest();
    let settled: Vec<Settlement> = world.read(topic::SETTLED);
    assert_eq!(settled.len(), before + 30, "each of the deposits is settled once");
}

/// A world whose flow has gone through, with several snapshots of each state.
fn rested(seed: u64) -> World {
    let mut world = generated(seed, 1_500);
    world.run_to_rest();
    for component in ["validator", "executor"] {
        for partition in PARTITIONS {
            let count = manifests(&world, component, partition).len();
            assert!(count >= 3, "{component}, partition {partition}: {count} snapshots");
        }
    }
    world
}

#[test]
fn a_restart_needs_nothing_before_the_newest_snapshot() {
    let mut world = rested(23);
    forget_before(&world, "validator", 0);
    forget_before(&world, "executor", 0);
    crash_and_go_on(&mut world);
}

#[test]
fn without_a_snapshot_a_log_that_lacks_its_beginning_stops_the_lane() {
    let mut world = rested(23);
    forget_before(&world, "executor", 0);
    for partition in PARTITIONS {
        rewrite(&world, "executor", partition, |_, part| part.manifest = None);
    }
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| crash_and_go_on(&mut world)));
    let message = *stopped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("executor: ") && message.contains("offset"), "{message}");
}

#[test]
fn a_snapshot_that_is_damaged_or_unknown_gives_way_to_the_one_before() {
    type Damage = fn(&mut SnapshotPart);
    let damages: [(&str, Damage); 7] = [
        ("a byte of a block", |part| {
            if let Some(byte) = part.image.last_mut() {
                *byte ^= 1;
            }
        }),
        ("a block is gone", |part| part.block += 1),
        ("a block is of another snapshot", |part| {
            if part.manifest.is_none() {
                part.snapshot += 3;
            }
        }),
        ("the checksum of all", |part| {
            if part.manifest.is_some() {
                part.checksum ^= 1;
            }
        }),
        ("a position in the manifest", |part| {
            if let Some(manifest) = &mut part.manifest {
                manifest.positions[0].next_offset -= 1;
            }
        }),
        ("a topic in the manifest", |part| {
            if let Some(manifest) = &mut part.manifest {
                manifest.positions[0].topic = "order".into();
            }
        }),
        ("an unknown format", |part| {
            if let Some(manifest) = &mut part.manifest {
                manifest.format += 1;
            }
        }),
    ];
    for (what, damage) in damages {
        let mut world = rested(29);
        for component in ["validator", "executor"] {
            for partition in PARTITIONS {
                let all = manifests(&world, component, partition);
                let (end, newest) = all.last().unwrap();
                let of_newest = newest.first_offset..=*end;
                rewrite(&world, component, partition, |offset, part| {
                    if of_newest.contains(&offset) {
                        damage(part);
                    }
                });
            }
            // The one before must be enough.
            forget_before(&world, component, 1);
        }
        println!("{what}");
        crash_and_go_on(&mut world);
    }
}

#[test]
fn a_clean_end_leaves_nothing_to_replay() {
    let mut world = rested(31);
    world.validator.lane.as_mut().unwrap().end().unwrap();
    world.executor.lane.as_mut().unwrap().end().unwrap();
    for component in ["validator", "executor"] {
        for partition in PARTITIONS {
            let (_, manifest) = manifests(&world, component, partition).pop().unwrap();
            let mut ends: BTreeMap<&str, i64> = BTreeMap::new();
            for position in manifest.positions.iter().filter(|position| position.partition == partition) {
                ends.insert(&position.topic, position.next_offset);
            }
            for (topic, end) in ends {
                let records = world.log.records(topic).into_iter().filter(|record| record.partition == partition);
                assert_eq!(records.count() as i64, end, "{component}: {topic}, partition {partition}");
            }
        }
        forget_before(&world, component, 0);
    }
    crash_and_go_on(&mut world);
}

/// The validator's partitions after each of the first rounds of a new life.
fn restored_in_rounds(world: &mut World, rounds: usize) -> Vec<usize> {
    world.validator.lane = None;
    let step = |world: &mut World| {
        world.validator.step(&world.log, &world.ids);
        world.validator.lane.as_ref().unwrap().partitions().len()
    };
    (0..rounds).map(|_| step(world)).collect()
}

#[test]
fn small_partitions_are_restored_in_one_round() {
    let mut world = rested(41);
    // The first round brings the assignment.
    assert_eq!(restored_in_rounds(&mut world, 3), [0, 2, 2]);
}

/// Two lives of the same flow write the same snapshots: their bytes depend on the state alone.
#[test]
fn snapshots_are_deterministic() {
    let parts = |world: &World| {
        let of = |component| PARTITIONS.map(|partition| parts(world, component, partition));
        [of("validator"), of("executor")]
    };
    assert!(parts(&rested(37)) == parts(&rested(37)));
}
