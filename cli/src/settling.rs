//! How far a settlement is, for whoever waits: accounting counts records, and what makes a rate of them is here.

use std::future::Future;
use std::time::Duration;

use tributary_accounting::Progress;
use tributary_store::Settling;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Does `work`, and tells every second how far it is.
pub(crate) async fn watch<T>(
    progress: &Progress,
    epoch: i64,
    mut tell: impl FnMut(Settling),
    work: impl Future<Output = T>,
) -> T {
    let mut work = Box::pin(work);
    // Measured from when the first records were seen to be divided: what comes before them has another pace.
    let mut began = None;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(LOOK) => {}
        }
        let (done, total) = (progress.done(), progress.total());
        let (since, first) = *began.get_or_insert_with(|| (crate::environment::now(), done));
        if done == 0 {
            began = None;
        }
        tell(settling(epoch, (done, total), done.saturating_sub(first), since.elapsed()));
    }
}

fn settling(epoch: i64, (done, total): (u64, u64), lately: u64, elapsed: Duration) -> Settling {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let per_second = lately.saturating_mul(1000).checked_div(millis).unwrap_or(0);
    let eta_seconds = total.saturating_sub(done).checked_div(per_second);
    Settling { epoch, records_done: done, records_total: total, per_second, eta_seconds }
}

/// In words.
pub(crate) fn words(settling: &Settling) -> String {
    let Settling { epoch, records_done, records_total, per_second, eta_seconds } = settling;
    let eta = eta_seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds} s"));
    match records_total {
        0 => format!("settling epoch {epoch}"),
        _ => format!(
            "settling epoch {epoch}: {records_done} of {records_total} records, {per_second} a second, ETA {eta}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_and_an_eta_follow_from_what_was_done() {
        let half = settling(7, (600, 1000), 500, Duration::from_secs(2));
        assert_eq!(words(&half), "settling epoch 7: 600 of 1000 records, 250 a second, ETA 1 s");
        let none = settling(7, (0, 1000), 0, Duration::ZERO);
        assert_eq!(words(&none), "settling epoch 7: 0 of 1000 records, 0 a second, ETA unknown");
        assert_eq!(words(&settling(7, (0, 0), 0, Duration::ZERO)), "settling epoch 7");
    }
}
