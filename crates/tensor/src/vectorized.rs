//! Loops compiled for the widest vectors of the CPU at hand.

/// Runs `work` compiled for the best instruction set that this CPU has.
///
/// The closure and all that it calls must be `#[inline(always)]`: a call that stays a call is compiled for the oldest CPU,
/// where a fused multiply-add is a function of its own.
pub(crate) fn vectorized<T>(work: impl FnMut() -> T) -> T {
    struct Job<F>(F);
    impl<T, F: FnMut() -> T> pulp::NullaryFnOnce for Job<F> {
        type Output = T;
        #[inline(always)]
        fn call(mut self) -> T {
            (self.0)() // as FnMut: calling a closure as FnOnce goes through a shim that is not inlined
        }
    }
    pulp::Arch::new().dispatch(Job(work))
}
