//! Short time slices for threads that somebody waits for.
//!
//! A processor that is wanted by several threads is given to each of them for a slice of time, some
//! milliseconds as a rule: that long an ack waits while others compute. A thread that asks for less at
//! once has its turn earlier, and no less in all (Linux's EEVDF, from 6.12 on). An older kernel takes
//! the wish and does nothing with it.

use std::io;

/// What such a thread asks for at once, in nanoseconds; the kernel takes 0.1 to 100 ms. Most of what
/// one does for a request takes less.
const SLICE: u64 = 200_000;

/// The kernel's `struct sched_attr`, in its first version, which all later ones take.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const SIZE: u32 = size_of::<Attributes>() as u32;

/// Shortens the time slice of the calling thread, for good, and of threads that it starts. To be
/// called on threads that a producer or a consumer waits for.
pub fn shorten_time_slice() {
    let shortened = attributes().and_then(|now| set(&Attributes { runtime: SLICE, ..now }));
    if let Err(error) = shortened {
        tracing::debug!(%error, "a thread keeps its time slice");
    }
}

/// Those of the calling thread.
fn attributes() -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes no more than the size that it is told, which is the structure's.
    let code = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &mut attributes, SIZE, 0) };
    if code == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

fn set(attributes: &Attributes) -> io::Result<()> {
    // SAFETY: the structure has the layout of the kernel's, tells its size and outlives the call.
    let code = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes, 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asks_has_a_short_slice_and_nothing_else_of_it_changes() {
        let before = attributes().unwrap();
        let shortened = std::thread::spawn(|| {
            shorten_time_slice();
            attributes().unwrap()
        });
        let shortened = shortened.join().unwrap();
        assert_eq!((shortened.policy, shortened.nice), (before.policy, before.nice));
        // A kernel before 6.12 tells of none.
        assert!([SLICE, 0].contains(&shortened.runtime), "{shortened:?}");
        assert_eq!(attributes().unwrap().runtime, before.runtime);
    }
}
