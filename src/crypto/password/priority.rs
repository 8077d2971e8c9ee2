//! Hashes take whole cores for as long as people sign in. Whatever else is asked for takes microseconds and goes first.

/// Below the rest of the process. A tenth of its weight: little enough to wait for it, enough to get on beside it.
pub(super) const NICENESS: i32 = 10;
/// In nanoseconds. Who asks for short turns, as threads do by default, interrupts who asks for long ones as soon as it
/// wakes; otherwise it waits for the timer, up to 4 ms. Linux 6.12 and newer; older ones take no notice.
pub(super) const SLICE: u64 = 100_000_000;

/// Lets this thread step back behind the others. Where it is refused, hashes compete as equals.
pub(super) fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = set(NICENESS, SLICE) {
        tracing::debug!(%error, "the priority of a password hashing thread stays as it is");
    }
}

/// `sched_setattr(2)` for this thread; no crate has a safe call for it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call that libc does not wrap")]
fn set(niceness: i32, slice: u64) -> std::io::Result<()> {
    let mut attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).expect("a few bytes"),
        sched_policy: libc::SCHED_OTHER.cast_unsigned(),
        sched_flags: 0,
        sched_nice: niceness,
        sched_priority: 0,
        sched_runtime: slice,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes at this address during the call, and writes to `size` alone if it expects another.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw mut attributes, 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
