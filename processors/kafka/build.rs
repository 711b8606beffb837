//! Refuses to build a Kafka client that may crash: see `src/leader_hints.rs`.

use std::env::var;

const WRAPPED: &str = "--wrap=rd_kafka_metadata_update_op";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let of_linux = var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if of_linux && !var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains(WRAPPED)) {
        println!(
            "cargo::error=the linker must be given {WRAPPED}, as .cargo/config.toml says (processors/kafka/src/leader_hints.rs \
             tells why); RUSTFLAGS and --config take its place: add `-Clink-arg=-Wl,{WRAPPED}` there, or unset them"
        );
    }
}
