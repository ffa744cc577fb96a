//! Threads that may wait: whoever runs beside them goes first when there are too few processors.

use rustix::process::setpriority_process;

/// How nice, from 0 (like everybody) to 19. At 10 a thread has about a tenth of what one at 0 has,
/// where both want the same processor.
const NICE: i32 = 10;

/// Lowers the priority of the calling thread, for good. To be called on threads that move bytes
/// between disk and store, and hold no lock that others wait for.
pub fn lower_thread_priority() {
    // Linux keeps the value for each thread: 0 is the calling one.
    if let Err(error) = setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_that_asks_is_lowered() {
        let before = getpriority_process(None).unwrap();
        let lowered = std::thread::spawn(|| {
            lower_thread_priority();
            getpriority_process(None).unwrap()
        });
        assert_eq!(lowered.join().unwrap(), NICE.max(before));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
