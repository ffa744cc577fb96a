//! Steps of an upload and of a collection that wait for each other.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use icecore_tiering::{Step, Steps, Stopped};
use parking_lot::Mutex;

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
