//! The entropy of symbols: how many bits they take at least. Uses integers only, because decisions that depend on it
//! must be the same on every machine.

/// One bit.
pub(super) const ONE: u64 = 64;

/// The entropy of symbols with given counts.
pub(super) struct Entropy {
    /// Bits that all symbols take together, in units of 1/[`ONE`] bit.
    pub(super) bits: u64,
    /// Number of different symbols.
    pub(super) symbols: u64,
}

impl Entropy {
    pub(super) fn of(counts: impl Iterator<Item = u32>) -> Self {
        let (mut sum, mut all, mut symbols) = (0, 0, 0);
        for count in counts {
            sum += times_log(count);
            all += count;
            symbols += u64::from(count > 0);
        }
        Self { bits: times_log(all) - sum, symbols }
    }
}

/// Counts whose logarithms are in the table.
const KNOWN: usize = 4096;

/// `n * log2(n)`, in units of 1/[`ONE`] bit.
const TIMES_LOG: [u32; KNOWN] = {
    let mut table = [0; KNOWN];
    let mut n = 2;
    while n < KNOWN {
        table[n] = ((n as u64 * log(n as u64)) >> 10) as u32;
        n += 1;
    }
    table
};

/// Returns `log2(n)` with 16 fractional bits. Each squaring gives one bit.
const fn log(n: u64) -> u64 {
    let whole = n.ilog2();
    let (mut x, mut result, mut bit) = (n << (31 - whole), (whole as u64) << 16, 15);
    loop {
        x = (x * x) >> 31;
        if x >= 1 << 32 {
            x >>= 1;
            result |= 1 << bit;
        }
        if bit == 0 {
            return result;
        }
        bit -= 1;
    }
}

/// Returns `n * log2(n)`, in units of 1/[`ONE`] bit. Approximate for counts beyond the table.
fn times_log(n: u32) -> u64 {
    match TIMES_LOG.get(n as usize) {
        Some(&known) => u64::from(known),
        None => {
            let shift = n.ilog2() - 11;
            let near = n >> shift;
            // n log n = n (log near + shift), if n is about near * 2^shift.
            u64::from(n) * u64::from(TIMES_LOG[near as usize]) / u64::from(near) + u64::from(n) * u64::from(shift) * ONE
        }
    }
}
