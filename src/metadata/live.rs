//! The image of now.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::ClusterImage;

/// Holds the current image. Readers never wait; whoever writes holds the controller's lock.
#[derive(Debug)]
pub struct LiveImage {
    current: ArcSwap<ClusterImage>,
}

impl LiveImage {
    /// Starts with `image`.
    #[must_use]
    pub fn new(image: ClusterImage) -> Self {
        Self { current: ArcSwap::from_pointee(image) }
    }

    /// The image of this moment; it stays as it is while the caller holds it.
    #[must_use]
    pub fn load(&self) -> Arc<ClusterImage> {
        self.current.load_full()
    }

    /// Swaps in the next image.
    pub fn publish(&self, image: ClusterImage) {
        self.current.store(Arc::new(image));
    }
}
