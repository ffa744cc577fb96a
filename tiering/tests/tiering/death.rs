//! Death at a chosen step, as a crash would bring it, and steps that wait for each other.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

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

/// An upload waits at its last step until a collection has found garbage, and the collection goes
/// on when the upload has ended.
pub(crate) struct UploadEndsDuringCollection {
    upload_waits: Sender<()>,
    garbage_found: (Mutex<Sender<()>>, Mutex<Receiver<()>>),
    upload_ended: Mutex<Receiver<()>>,
}

impl UploadEndsDuringCollection {
    /// The steps, what tells that the upload waits, and what is to be told that it has ended.
    pub(crate) fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let (upload_waits, waits) = channel();
        let (found, find) = channel();
        let (ended, upload_ended) = channel();
        let garbage_found = (Mutex::new(found), Mutex::new(find));
        let upload_ended = Mutex::new(upload_ended);
        (Arc::new(Self { upload_waits, garbage_found, upload_ended }), waits, ended)
    }
}

impl Steps for UploadEndsDuringCollection {
    fn reached(&self, step: Step) -> Result<(), Stopped> {
        match step {
            Step::Verified => {
                self.upload_waits.send(()).unwrap();
                self.garbage_found.1.lock().recv().unwrap();
            }
            Step::GarbageFound => {
                self.garbage_found.0.lock().send(()).unwrap();
                self.upload_ended.lock().recv().unwrap();
            }
            _ => (),
        }
        Ok(())
    }
}
