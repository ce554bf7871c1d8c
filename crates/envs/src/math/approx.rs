//! Complex numbers in double precision that know how wrong they may be.

/// Relative error of one rounded operation on complex numbers, with room.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// A complex value and a bound on the distance to the true one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Approx {
    pub(crate) re: f64,
    pub(crate) im: f64,
    pub(crate) error: f64,
    /// A root, logarithm or inverse function was taken off the real range, where the branch is a convention.
    pub(crate) off_branch: bool,
}

impl Approx {
    pub(crate) fn real(re: f64) -> Self {
        Self { re, im: 0.0, error: ROUNDING * re.abs(), off_branch: false }
    }

    pub(crate) fn exactly(re: f64) -> Self {
        Self { re, im: 0.0, error: 0.0, off_branch: false }
    }

    pub(crate) fn imaginary_unit() -> Self {
        Self { re: 0.0, im: 1.0, error: 0.0, off_branch: false }
    }

    pub(crate) fn size(self) -> f64 {
        self.re.hypot(self.im)
    }

    /// This value unless it overflowed.
    pub(crate) fn finite(self) -> Option<Self> {
        (self.re.is_finite() && self.im.is_finite() && self.error.is_finite()).then_some(self)
    }

    fn rounded(re: f64, im: f64, error: f64, off_branch: bool) -> Self {
        Self { re, im, error: error + ROUNDING * re.hypot(im), off_branch }
    }

    pub(crate) fn is_real(self) -> bool {
        self.im.abs() <= self.error
    }

    pub(crate) fn may_be_zero(self) -> bool {
        self.size() <= self.error
    }

    /// Not distinguishable from a real number of at least 0.
    fn is_non_negative(self) -> bool {
        self.is_real() && self.re >= -self.error
    }

    pub(crate) fn off_branch_if(mut self, off: bool) -> Self {
        self.off_branch |= off;
        self
    }

    pub(crate) fn neg(self) -> Self {
        Self { re: -self.re, im: -self.im, ..self }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        let off = self.off_branch || other.off_branch;
        Self::rounded(self.re + other.re, self.im + other.im, self.error + other.error, off)
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        let re = self.re * other.re - self.im * other.im;
        let im = self.re * other.im + self.im * other.re;
        let error = self.error * other.size() + other.error * self.size() + self.error * other.error;
        // The parts may cancel, so the rounding is that of the whole product.
        let error = error + ROUNDING * self.size() * other.size();
        Self::rounded(re, im, error, self.off_branch || other.off_branch)
    }

    pub(crate) fn recip(self) -> Option<Self> {
        if self.may_be_zero() {
            return None;
        }
        let size = self.size();
        let (re, im) = (self.re / size / size, -self.im / size / size);
        let error = self.error / (size * (size - self.error));
        Self::rounded(re, im, error, self.off_branch).finite()
    }

    pub(crate) fn exp(self) -> Option<Self> {
        let size = self.re.exp();
        // The angle is reduced by 2π with the error of its own rounding.
        let error =
            size * (self.error.exp_m1() + ROUNDING * (self.re.abs() + self.im.abs())) + f64::MIN_POSITIVE;
        Self::rounded(size * self.im.cos(), size * self.im.sin(), error, self.off_branch).finite()
    }

    pub(crate) fn ln(self) -> Option<Self> {
        if self.may_be_zero() {
            return None;
        }
        let size = self.size();
        let error = self.error / (size - self.error) + ROUNDING;
        let off = self.off_branch || !self.is_non_negative();
        let im = if self.is_non_negative() { 0.0 } else { self.im.atan2(self.re) };
        Self::rounded(size.ln(), im, error, off).finite()
    }

    pub(crate) fn sqrt(self) -> Option<Self> {
        if self.may_be_zero() {
            return Some(Self { re: 0.0, im: 0.0, error: (self.size() + self.error).sqrt(), ..self });
        }
        let size = self.size();
        let off = self.off_branch || !self.is_non_negative();
        let (re, im) = if self.is_real() {
            let root = self.re.abs().sqrt();
            if self.re >= 0.0 { (root, 0.0) } else { (0.0, root) }
        } else {
            let (length, angle) = (size.sqrt(), self.im.atan2(self.re) / 2.0);
            (length * angle.cos(), length * angle.sin())
        };
        let error = self.error / (size - self.error).sqrt();
        Self::rounded(re, im, error, off).finite()
    }

    pub(crate) fn sin(self) -> Option<Self> {
        let (re, im) = (self.re.sin() * self.im.cosh(), self.re.cos() * self.im.sinh());
        self.bounded_wave(re, im)
    }

    pub(crate) fn cos(self) -> Option<Self> {
        let (re, im) = (self.re.cos() * self.im.cosh(), -self.re.sin() * self.im.sinh());
        self.bounded_wave(re, im)
    }

    /// A sine or cosine: its slope is at most `cosh` of the imaginary part.
    fn bounded_wave(self, re: f64, im: f64) -> Option<Self> {
        let slope = (self.im.abs() + self.error).cosh();
        let error = slope * (self.error + ROUNDING * (1.0 + self.size()));
        Self::rounded(re, im, error, self.off_branch).finite()
    }

    /// A real function of a real argument with the given value and slope.
    pub(crate) fn real_function(self, value: f64, slope: f64) -> Option<Self> {
        let error = slope.abs() * (self.error + ROUNDING * self.re.abs()) + ROUNDING * value.abs();
        Self { re: value, im: 0.0, error, off_branch: self.off_branch }.finite()
    }

    pub(crate) fn powi(self, exponent: u32) -> Option<Self> {
        let (mut result, mut base, mut left) = (Self::exactly(1.0), self, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.mul(base);
            }
            left >>= 1;
            if left > 0 {
                base = base.mul(base);
            }
        }
        result.finite()
    }

    /// `self^exponent` on the principal branch.
    pub(crate) fn pow(self, exponent: Self) -> Option<Self> {
        if exponent.error == 0.0
            && exponent.im == 0.0
            && exponent.re.fract() == 0.0
            && exponent.re.abs() <= 4_096.0
        {
            let raised = self.powi(exponent.re.abs() as u32)?; // at most 4096
            return if exponent.re < 0.0 { raised.recip() } else { Some(raised) };
        }
        if self.may_be_zero() {
            let vanishes = self.error == 0.0 && exponent.is_real() && exponent.re > exponent.error;
            return vanishes
                .then(|| Self::exactly(0.0).off_branch_if(self.off_branch || exponent.off_branch));
        }
        exponent.mul(self.ln()?).exp()
    }
}

/// Whether two values are the same number, as far as double precision tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closeness {
    Same,
    Different,
    /// The bounds are too wide to say anything.
    Undecided,
}

pub(crate) fn closeness(a: Approx, b: Approx) -> Closeness {
    let error = 4.0 * (a.error + b.error);
    let distance = (a.re - b.re).hypot(a.im - b.im);
    if distance > error {
        return Closeness::Different;
    }
    // Agreement within a wide bound proves nothing.
    let scale = a.size().max(b.size());
    if error <= 1e-11 * scale || error <= 1e-12 { Closeness::Same } else { Closeness::Undecided }
}
