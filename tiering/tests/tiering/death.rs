//! Death at a chosen step, as a crash would bring it.

use std::sync::Arc;

use icecore_tiering::{Step, Steps, Stopped};
use parking_lot::Mutex;

/// Dies at one step, the `countdown`-th time that it is reached.
pub(crate) struct DieAt(Mutex<Option<(Step, usize)>>);

impl DieAt {
    pub(crate) fn new(step: Step, countdown: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some((step, countdown)))))
    }

    pub(crate) fn died(&self) -> bool {
        self.0.lock().is_none()
    }
}

impl Steps for DieAt {
    fn reached(&self, step: Step) -> Result<(), Stopped> {
        let mut death = self.0.lock();
        match &mut *death {
            // Dead: nothing of this process goes on.
            None => Err(Stopped(step)),
            Some((at, countdown)) if *at == step => {
                *countdown -= 1;
                if *countdown > 0 {
                    return Ok(());
                }
                *death = None;
                Err(Stopped(step))
            }
            Some(_) => Ok(()),
        }
    }
}
