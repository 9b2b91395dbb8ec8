//! `cascade(amount, before, weight, total)`: the part of an amount that falls to one weight, in SQL.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Decimal128Builder, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::sync::Arc;

use crate::cascade::portion;

/// The function, to be registered.
#[must_use]
pub fn cascade() -> ScalarUDF {
    ScalarUDF::new_from_impl(Cascade {
        signature: Signature::new(
            TypeSignature::Exact(vec![DataType::Decimal128(38, 0), DataType::Int64, DataType::Int64, DataType::Int64]),
            Volatility::Immutable,
        ),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cascade {
    signature: Signature,
}

impl ScalarUDFImpl for Cascade {
    fn name(&self) -> &'static str {
        "cascade"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(38, 0))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [amount, before, weight, total] = arrays.as_slice() else {
            return exec_err!("cascade takes 4 arguments, got {}", arrays.len());
        };
        let parts = parts(
            amount.as_primitive::<Decimal128Type>(),
            [before.as_primitive(), weight.as_primitive(), total.as_primitive()],
        )?;
        Ok(ColumnarValue::Array(parts))
    }
}

type Weights<'a> = [&'a PrimitiveArray<Int64Type>; 3];

fn parts(amounts: &Decimal128Array, [before, weight, total]: Weights<'_>) -> Result<ArrayRef> {
    let rows = amounts.len();
    let mut split = Split::default();
    let nulls = amounts.null_count() + before.null_count() + weight.null_count() + total.null_count();
    if nulls == 0 {
        let mut out = Vec::with_capacity(rows);
        let columns = amounts.values().iter().zip(before.values()).zip(weight.values()).zip(total.values());
        for (((amount, before), weight), total) in columns {
            out.push(split.part(*amount, *before, *weight, *total)?);
        }
        return Ok(Arc::new(Decimal128Array::from(out).with_precision_and_scale(38, 0)?));
    }
    let mut out = Decimal128Builder::with_capacity(rows).with_precision_and_scale(38, 0)?;
    for row in 0..rows {
        if amounts.is_null(row) || before.is_null(row) || weight.is_null(row) || total.is_null(row) {
            out.append_null();
        } else {
            out.append_value(split.part(amounts.value(row), before.value(row), weight.value(row), total.value(row))?);
        }
    }
    Ok(Arc::new(out.finish()))
}

/// Splits row by row. Records of one inference lie side by side and each begins where the last one ended, so that the
/// lower portion of a row is mostly the upper one of the row before: one division a record instead of two.
#[derive(Debug, Default)]
pub(crate) struct Split {
    amount: u128,
    total: u128,
    upto: u128,
    portion: u128,
}

impl Split {
    pub(crate) fn part(&mut self, amount: i128, before: i64, weight: i64, total: i64) -> Result<i128> {
        let (Ok(x), Ok(before), Ok(weight), Ok(total)) =
            (u128::try_from(amount), u128::try_from(before), u128::try_from(weight), u128::try_from(total))
        else {
            return exec_err!("cascade({amount}, {before}, {weight}, {total}): expected nothing below zero");
        };
        let upto = before + weight;
        if upto > total {
            return exec_err!("cascade({amount}, {before}, {weight}, {total}): expected before + weight <= total");
        }
        if total == 0 {
            return Ok(0);
        }
        if self.amount != x || self.total != total || self.upto != before {
            *self = Self { amount: x, total, upto: before, portion: portion(x, before, total) };
        }
        let lower = self.portion;
        if weight > 0 {
            self.portion = portion(x, upto, total);
            self.upto = upto;
        }
        Ok((self.portion - lower).cast_signed())
    }
}
