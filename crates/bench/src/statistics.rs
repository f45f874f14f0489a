//! Medians and quantiles of small samples.

/// The middle value; the mean of the two middle ones of an even number. 0 of nothing.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let sorted = sorted(samples);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The smallest sample that at least the share `q` of all samples does not exceed (nearest rank). 0 of nothing.
pub(crate) fn quantile(samples: &[f64], q: f64) -> f64 {
    let sorted = sorted(samples);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

/// Half the distance between the smallest and the largest sample, as a share of the median.
pub(crate) fn spread(samples: &[f64]) -> f64 {
    let middle = median(samples);
    let sorted = sorted(samples);
    match (sorted.first(), sorted.last()) {
        (Some(first), Some(last)) if middle != 0.0 => (last - first) / 2.0 / middle.abs(),
        _ => 0.0,
    }
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn a_quantile_is_one_of_the_samples() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&samples, 0.5), 100.0);
        assert_eq!(quantile(&samples, 0.99), 198.0);
        assert_eq!(quantile(&samples, 1.0), 200.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert_eq!(quantile(&[], 0.99), 0.0);
    }

    #[test]
    fn the_spread_is_half_the_range_by_the_median() {
        assert_eq!(spread(&[9.0, 10.0, 11.0]), 0.1);
        assert_eq!(spread(&[5.0]), 0.0);
        assert_eq!(spread(&[]), 0.0);
    }
}
