//! Many small single-threaded jobs on a few cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Runs `work` on every job with `n_workers` threads, each inside a rayon pool of one thread.
///
/// One model per core beats two cores on one small model, and a run that never shares its arithmetic between
/// threads gives the same bits for any number of workers. Jobs are handed out in order; after the first error no new
/// job starts, those under way finish, and that error is returned.
///
/// `on_done` is called after each job that succeeded, by one thread at a time.
pub(crate) fn run_pool<J: Sync, E: Send>(
    jobs: &[J],
    n_workers: usize,
    work: impl Fn(&J) -> Result<(), E> + Sync,
    on_done: impl FnMut(&J) + Send,
) -> Result<(), E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first_error = Mutex::new(None);
    let on_done = Mutex::new(on_done);
    let worker = || {
        while !failed.load(Ordering::Relaxed) {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            match work(job) {
                Ok(()) => (on_done.lock().expect("no holder panics"))(job),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    first_error.lock().expect("no holder panics").get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..n_workers.min(jobs.len()) {
            scope.spawn(|| single_threaded(worker));
        }
    });
    first_error.into_inner().expect("no holder panics").map_or(Ok(()), Err)
}

/// Runs `work` where rayon has one thread.
pub(crate) fn single_threaded<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one more thread can be started");
    pool.install(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_alone_in_its_pool() {
        let jobs: Vec<usize> = (0..20).collect();
        let done = Mutex::new(vec![]);
        let work = |job: &usize| {
            assert_eq!(rayon::current_num_threads(), 1);
            done.lock().unwrap().push(*job);
            Ok::<(), ()>(())
        };
        let mut n_reported = 0;
        run_pool(&jobs, 3, work, |_| n_reported += 1).unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, jobs);
        assert_eq!(n_reported, 20);
    }

    #[test]
    fn an_error_stops_the_handing_out() {
        let jobs: Vec<usize> = (0..1000).collect();
        let n_done = AtomicUsize::new(0);
        let work = |job: &usize| {
            n_done.fetch_add(1, Ordering::Relaxed);
            if *job == 3 { Err("disk full") } else { Ok(()) }
        };
        assert_eq!(run_pool(&jobs, 1, work, |_| ()), Err("disk full"));
        assert_eq!(n_done.into_inner(), 4);
    }
}
