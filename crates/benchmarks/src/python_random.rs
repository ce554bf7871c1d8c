//! The random numbers of Python's `random.Random`, so that few-shot examples are those that the reference draws.

const N: usize = 624;
const M: usize = 397;

/// The Mersenne Twister (MT19937) as CPython seeds and uses it.
///
/// Source: Matsumoto and Nishimura, "Mersenne Twister", 1998; sampling as in CPython 3.11's `random.sample`.
#[derive(Debug, Clone)]
pub(crate) struct PythonRandom {
    state: [u32; N],
    next: usize,
}

impl PythonRandom {
    /// `random.Random(seed)`.
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [0_u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            state[i] = scrambled(state[i - 1], 1_812_433_253).wrapping_add(i as u32);
        }
        // The key is the one word of the seed.
        let mut i = 1;
        for _ in 0..N {
            state[i] = (state[i] ^ scrambled(state[i - 1], 1_664_525)).wrapping_add(seed);
            i = turned(&mut state, i);
        }
        for _ in 1..N {
            state[i] = (state[i] ^ scrambled(state[i - 1], 1_566_083_941)).wrapping_sub(i as u32);
            i = turned(&mut state, i);
        }
        state[0] = 0x8000_0000;
        Self { state, next: N }
    }

    /// Places of `n_drawn` different elements of a list with `n` elements, in the order drawn: `random.sample`.
    ///
    /// # Panics
    /// When there are fewer elements than are drawn.
    pub(crate) fn sample(&mut self, n: usize, n_drawn: usize) -> Vec<usize> {
        assert!(n_drawn <= n, "{n_drawn} of {n} elements cannot be drawn");
        let mut set_size = 21;
        if n_drawn > 5 {
            // 4 to the power of the rounded-up logarithm of 3 n_drawn to the base of 4
            set_size += 4_usize.pow((n_drawn as f64 * 3.0).log(4.0).ceil() as u32);
        }
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            let mut take = |left: usize| {
                let drawn = self.below(left);
                let element = pool[drawn];
                pool[drawn] = pool[left - 1];
                element
            };
            return (0..n_drawn).map(|i| take(n - i)).collect();
        }
        let mut drawn = Vec::with_capacity(n_drawn);
        while drawn.len() < n_drawn {
            let element = self.below(n);
            if !drawn.contains(&element) {
                drawn.push(element);
            }
        }
        drawn
    }

    /// A number below `n`, which is above 0 and fits in 32 bits.
    fn below(&mut self, n: usize) -> usize {
        let n_bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = (self.word() >> (32 - n_bits)) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    fn word(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

fn scrambled(word: u32, factor: u32) -> u32 {
    (word ^ (word >> 30)).wrapping_mul(factor)
}

/// The next place; past the end, the last word goes to the front.
fn turned(state: &mut [u32; N], i: usize) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_python() {
        // CPython 3.11: r = random.Random(1234); r.sample(range(1000), 5), r.sample(range(20), 6), r.sample(range(90), 12)
        let mut random = PythonRandom::new(1234);
        assert_eq!(random.sample(1000, 5), EXPECTED_5);
        assert_eq!(random.sample(20, 6), EXPECTED_6);
        assert_eq!(random.sample(90, 12), EXPECTED_12);
        let many: Vec<usize> = (0..400).map(|_| random.sample(7473, 5)[4]).collect(); // the state is renewed on the way
        assert_eq!(many[399], EXPECTED_LAST);
    }

    const EXPECTED_5: [usize; 5] = [989, 796, 451, 119, 7];
    const EXPECTED_6: [usize; 6] = [2, 18, 1, 19, 3, 12];
    const EXPECTED_12: [usize; 12] = [45, 30, 2, 3, 44, 82, 79, 61, 78, 59, 19, 11];
    const EXPECTED_LAST: usize = 4290;
}
