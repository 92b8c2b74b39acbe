//! Runge–Kutta methods: their coefficients.

/// How an initial value problem is stepped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stepper {
    /// Euler's method, of order 1, in steps of a fixed length.
    Euler {
        /// The length.
        step: f64,
    },
    /// The classical method of order 4 (Kutta 1901), in steps of a fixed length.
    RungeKutta4 {
        /// The length.
        step: f64,
    },
    /// Dormand and Prince's pair of orders 5 and 4 (*A family of embedded Runge–Kutta formulae*, 1980), with steps
    /// whose lengths follow the estimated error.
    DormandPrince,
    /// Tsitouras's pair of orders 5 and 4 (*Runge–Kutta pairs of order 5(4) satisfying only the first column
    /// simplifying assumption*, 2011), likewise.
    Tsitouras,
}

/// An explicit method.
#[derive(Debug)]
pub(super) struct Tableau {
    /// When the slopes are taken, as parts of the step.
    pub(super) nodes: &'static [f64],
    /// What each slope's point adds of the slopes before it.
    pub(super) rows: &'static [&'static [f64]],
    /// What the step adds of the slopes.
    pub(super) weights: &'static [f64],
    /// The same less that of the method of lower order: of the slopes and, last, that of the next step.
    pub(super) errors: Option<&'static [f64]>,
    /// The coefficient of `θ⁴` in the polynomial of order 4 that goes through the step, at `θ` of its length, of the
    /// same slopes: the other coefficients follow from both ends and the slopes there.
    pub(super) bend: Option<&'static [f64]>,
}

pub(super) const EULER: Tableau =
    Tableau { nodes: &[0.0], rows: &[&[]], weights: &[1.0], errors: None, bend: None };

pub(super) const RUNGE_KUTTA_4: Tableau = Tableau {
    nodes: &[0.0, 0.5, 0.5, 1.0],
    rows: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    weights: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    errors: None,
    bend: None,
};

pub(super) const DORMAND_PRINCE: Tableau = Tableau {
    nodes: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0],
    rows: &[
        &[],
        &[0.2],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    ],
    weights: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    errors: Some(&[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ]),
    // Shampine, *Some practical Runge–Kutta formulas*, 1986.
    bend: Some(&[
        -12_715_105_075.0 / 11_282_082_432.0,
        0.0,
        87_487_479_700.0 / 32_700_410_799.0,
        -10_690_763_975.0 / 1_880_347_072.0,
        701_980_252_875.0 / 199_316_789_632.0,
        -1_453_857_185.0 / 822_651_844.0,
        69_997_945.0 / 29_380_423.0,
    ]),
};

pub(super) const TSITOURAS: Tableau = Tableau {
    nodes: &[0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0],
    rows: &[
        &[],
        &[0.161],
        &[-0.008_480_655_492_356_989, 0.335_480_655_492_357],
        &[2.897_153_057_105_493_5, -6.359_448_489_975_075, 4.362_295_432_869_581_5],
        &[5.325_864_828_439_257, -11.748_883_564_062_828, 7.495_539_342_889_836_5, -0.092_495_066_361_755_25],
        &[
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401_01,
            -0.028_269_050_394_068_383,
        ],
    ],
    weights: &[
        0.096_460_766_818_065_23,
        0.01,
        0.479_889_650_414_499_6,
        1.379_008_574_103_742,
        -3.290_069_515_436_081,
        2.324_710_524_099_774,
    ],
    errors: Some(&[
        -0.001_780_011_052_225_771_4,
        -0.000_816_434_459_656_746_9,
        0.007_880_878_010_261_995,
        -0.144_711_007_173_262_9,
        0.582_357_165_452_555_2,
        -0.458_082_105_929_186_97,
        1.0 / 66.0,
    ]),
    // As the method itself, Tsitouras 2011.
    bend: Some(&[
        -1.053_088_497_729_021_6,
        0.1017,
        2.490_627_285_651_253,
        -16.548_102_889_244_902,
        47.379_521_962_819_28,
        -34.870_657_861_496_61,
        2.5,
    ]),
};

impl Stepper {
    pub(super) fn tableau(self) -> &'static Tableau {
        match self {
            Stepper::Euler { .. } => &EULER,
            Stepper::RungeKutta4 { .. } => &RUNGE_KUTTA_4,
            Stepper::DormandPrince => &DORMAND_PRINCE,
            Stepper::Tsitouras => &TSITOURAS,
        }
    }
    /// The length of the steps, if it is fixed.
    pub(super) fn fixed(self) -> Option<f64> {
        match self {
            Stepper::Euler { step } | Stepper::RungeKutta4 { step } => Some(step),
            Stepper::DormandPrince | Stepper::Tsitouras => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conditions of order up to 4, and of the estimate up to 4 as well.
    #[test]
    fn the_conditions_of_order_hold() {
        for (tableau, order) in [(&EULER, 1), (&RUNGE_KUTTA_4, 4), (&DORMAND_PRINCE, 5), (&TSITOURAS, 5)] {
            let (b, c) = (tableau.weights, tableau.nodes);
            for (row, &node) in tableau.rows.iter().zip(c) {
                assert!((row.iter().sum::<f64>() - node).abs() < 1e-14, "{row:?}");
            }
            // Σ bᵢ·cᵢᵏ = 1/(k + 1).
            for k in 0..order {
                let sum: f64 = b.iter().zip(c).map(|(b, c)| b * c.powi(k)).sum();
                assert!((sum - 1.0 / f64::from(k + 1)).abs() < 1e-13, "{k} {sum}");
            }
            // Σ bᵢ·aᵢⱼ·cⱼ = 1/6.
            if order > 2 {
                let row = |row: &&[f64]| row.iter().zip(c).map(|(a, c)| a * c).sum::<f64>();
                let sum: f64 = b.iter().zip(tableau.rows).map(|(b, a)| b * row(a)).sum();
                assert!((sum - 1.0 / 6.0).abs() < 1e-13, "{sum}");
            }
            let Some(errors) = tableau.errors else { continue };
            for k in 0..4 {
                let sum: f64 = errors.iter().zip(c.iter().chain(&[1.0])).map(|(e, c)| e * c.powi(k)).sum();
                assert!(sum.abs() < 1e-13, "{k} {sum}");
            }
            // ∫tᵏdt is a polynomial of degree k + 1 up to 4, whose fourth coefficient is 0, 0, 0, ¼.
            let bend = tableau.bend.expect("what estimates its error is interpolated");
            for (k, expected) in [0.0, 0.0, 0.0, 0.25].into_iter().enumerate() {
                let nodes = c.iter().chain(&[1.0]);
                let sum: f64 = bend.iter().zip(nodes).map(|(q, c)| q * c.powi(k as i32)).sum();
                assert!((sum - expected).abs() < 1e-12, "{k} {sum}");
            }
        }
    }
}
