//! Leaves out what brokers tell of new leaders beside a refusal (KIP-951), for the client may crash over it.
//!
//! A broker that no longer leads a partition says in its answer to a fetch or a produce who does. Where one partition of an
//! answer has a new leader and another has none, librdkafka (2.12.1; the issue is open) reads entries that it never
//! filled, and with what it takes for a partition's number it reads, and may write, outside of its tables:
//! <https://github.com/confluentinc/librdkafka/issues/5280>. Seen as a segmentation fault when a broker came back: one of 200
//! kills, and within three restarts of a broker with 60 consumers.
//!
//! So the linker leads the call that takes these hints (`--wrap`, in `.cargo/config.toml`; `build.rs` insists on it) to a function
//! that drops them. The client asks for the partition's leader after each such refusal in any case, as it did before KIP-951.
//! On other systems than Linux the hints are taken.

use std::ffi::{c_int, c_void};

/// `RD_KAFKA_OP_RES_HANDLED`: the operation is done, and what it holds may be freed.
const HANDLED: c_int = 1;

/// Takes the place of `rd_kafka_metadata_update_op(rd_kafka_t *, rd_kafka_metadata_internal_t *)`.
#[allow(unsafe_code, reason = "the name is the linker's: no other symbol has it")]
#[unsafe(no_mangle)]
extern "C" fn __wrap_rd_kafka_metadata_update_op(_client: *mut c_void, _hints: *mut c_void) -> c_int {
    HANDLED
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[allow(unsafe_code, reason = "stands for librdkafka, which calls it so")]
    unsafe extern "C" {
        fn rd_kafka_metadata_update_op(client: *mut c_void, hints: *mut c_void) -> c_int;
    }

    #[test]
    #[allow(unsafe_code, reason = "stands for librdkafka, which calls it so")]
    fn librdkafkas_call_ends_here() {
        // SAFETY: ours reads neither argument. librdkafka's own would end the process here, and the test with it.
        let result = unsafe { rd_kafka_metadata_update_op(std::ptr::null_mut(), std::ptr::null_mut()) };
        assert_eq!(result, HANDLED);
    }
}
