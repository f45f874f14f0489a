//! Numbers and times as the bytes of a column, the slow way.

use mirror::column_type::ScalarType;

use crate::reference::Decimal;
use crate::reference_time::ticks;

pub(crate) fn number_bytes(text: &str, scalar: &ScalarType, exact: bool) -> Option<Vec<u8>> {
    let number = Decimal::parse(text)?;
    let scaled = |scale: u8| match number.times_power_of_ten(scale)? {
        (value, true) => Some(value),
        _ => None,
    };
    match scalar {
        ScalarType::UInt(width) => {
            let value = scaled(0)?;
            let fits = value >= 0 && value < 1_i128 << (u32::from(*width) * 8);
            fits.then(|| value.to_le_bytes()[..usize::from(*width)].to_vec())
        }
        ScalarType::Int(width) => {
            let value = scaled(0)?;
            let most = i128::MAX >> (128 - u32::from(*width) * 8);
            let fits = value <= most && value >= -most - 1;
            fits.then(|| value.to_le_bytes()[..usize::from(*width)].to_vec())
        }
        ScalarType::Decimal { precision, scale } => {
            let value = scaled(*scale)?;
            let fits = value.to_string().trim_start_matches('-').len() <= usize::from(*precision);
            fits.then(|| value.to_le_bytes()[..scalar.width().unwrap_or(0)].to_vec())
        }
        ScalarType::Float(4) => {
            let value = text.parse::<f32>().ok().filter(|value| value.is_finite())?;
            let value = if value == 0.0 && number.is_zero() {
                0.0
            } else {
                value
            };
            let kept = Decimal::parse(&format!("{value:e}")) == Some(number);
            (kept || !exact).then(|| value.to_le_bytes().to_vec())
        }
        ScalarType::Float(_) => {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
            let value = if value == 0.0 && number.is_zero() {
                0.0
            } else {
                value
            };
            let kept = Decimal::parse(&format!("{value:e}")) == Some(number);
            (kept || !exact).then(|| value.to_le_bytes().to_vec())
        }
        ScalarType::DateTime | ScalarType::DateTime64 { .. } => {
            if exact {
                scaled(precision(scalar))?;
            }
            time_bytes(number.times_power_of_ten(9)?.0, scalar)
        }
        ScalarType::String | ScalarType::Bool => None,
    }
}

pub(crate) fn precision(scalar: &ScalarType) -> u8 {
    match scalar {
        ScalarType::DateTime64 { precision } => *precision,
        _ => 0,
    }
}

pub(crate) fn time_bytes(nanos: i128, scalar: &ScalarType) -> Option<Vec<u8>> {
    let ticks = ticks(nanos, precision(scalar))?;
    if *scalar == ScalarType::DateTime {
        return Some(u32::try_from(ticks).ok()?.to_le_bytes().to_vec());
    }
    Some(i64::try_from(ticks).ok()?.to_le_bytes().to_vec())
}
