//! Expiry told before it happens.

use icecore_tiering::{Offset, Retention};

use crate::fixture::{Fixture, key};

const SIZE: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_is_foreseen_as_it_then_is_with_what_still_waits() {
    let fixture = Fixture::new("folder://");
    let tiering = fixture.open().await;
    let partition = key("t", 0);
    let made = [0, 10, 20, 30].map(|base| fixture.make(&partition, base, base + 9, SIZE));
    for made in &made {
        tiering.record_sealed(&made.segment).await.unwrap();
    }
    for made in &made[..2] {
        made.upload(&tiering).await;
    }
    let waiting = [made[2].segment.clone(), made[3].segment.clone()];
    let of = |bytes| Retention { bytes: Some(bytes), ..Retention::default() };
    for (bytes, gone) in [(3500, 0), (2500, 1), (1500, 2), (500, 3), (0, 4)] {
        let local_only = 2 * SIZE as u64;
        let foreseen = tiering.foresee_expiry(&partition, of(bytes), &waiting, local_only, 0);
        let foreseen = foreseen.await.unwrap();
        assert_eq!((foreseen.segments, foreseen.bytes), (gone, gone * SIZE as u64), "{bytes}");
        let start = Offset::new(gone.cast_signed() * 10);
        assert_eq!(foreseen.new_log_start, Some(start).filter(|_| gone > 0), "{bytes}");
    }
    for made in &made[2..] {
        made.upload(&tiering).await;
    }
    let plan = tiering.plan_expiry(&partition, of(500), 0, 0).await.unwrap();
    assert_eq!((plan.segments.len(), plan.new_log_start), (3, Some(Offset::new(30))));
}
