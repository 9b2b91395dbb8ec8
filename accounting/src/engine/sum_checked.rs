//! `sum_checked`, which is also what `sum` means in our sessions: over decimals and 64-bit integers it refuses to leave
//! the range of its type instead of wrapping.

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, utils::AggregateOrderSensitivity,
};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

/// The function, to be registered; it answers to `sum` and `sum_checked`.
#[must_use]
pub fn sum_checked() -> AggregateUDF {
    AggregateUDF::new_from_impl(SumChecked { stock: sum_udaf(), aliases: vec!["sum_checked".to_owned()] })
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SumChecked {
    stock: Arc<AggregateUDF>,
    aliases: Vec<String>,
}

impl AggregateUDFImpl for SumChecked {
    fn name(&self) -> &'static str {
        "sum"
    }
    fn aliases(&self) -> &[String] {
        &self.aliases
    }
    fn signature(&self) -> &Signature {
        self.stock.signature()
    }
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.stock.coerce_types(types)
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.stock.return_type(types)
    }
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.stock.state_fields(args)
    }
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        if args.is_distinct && is_money(&data_type) {
            return plan_err!("sum(distinct …) over money is not offered: write the distinct rows as a subquery");
        }
        if args.is_distinct {
            return self.stock.accumulator(args);
        }
        match data_type {
            DataType::Decimal128(..) => Ok(Box::new(One::<Decimal128Type>::new(data_type))),
            DataType::Int64 => Ok(Box::new(One::<Int64Type>::new(data_type))),
            DataType::UInt64 => Ok(Box::new(One::<UInt64Type>::new(data_type))),
            _ => self.stock.accumulator(args),
        }
    }
    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Decimal128(..) | DataType::Int64 | DataType::UInt64 => self.accumulator(args),
            _ => self.stock.create_sliding_accumulator(args),
        }
    }
    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }
    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type().clone();
        match data_type {
            DataType::Decimal128(..) => Ok(Box::new(Groups::<Decimal128Type>::new(data_type))),
            DataType::Int64 => Ok(Box::new(Groups::<Int64Type>::new(data_type))),
            DataType::UInt64 => Ok(Box::new(Groups::<UInt64Type>::new(data_type))),
            _ => self.stock.create_groups_accumulator(args),
        }
    }
}

const fn is_money(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

/// Numbers that are added in 128 bits and must fit their own type in the end.
trait Summed: ArrowPrimitiveType<Native: Copy + Send> + Debug + Send + Sync {
    fn widen(value: Self::Native) -> i128;
    /// Back to the column's type; `None` when it does not fit.
    fn narrow(sum: i128) -> Option<Self::Native>;
    fn scalar(sum: Option<Self::Native>, data_type: &DataType) -> Result<ScalarValue>;
}
impl Summed for Decimal128Type {
    fn widen(value: i128) -> i128 {
        value
    }
    fn narrow(sum: i128) -> Option<i128> {
        (sum.unsigned_abs() < tributary_schemas::Amount::LIMIT).then_some(sum)
    }
    fn scalar(sum: Option<i128>, data_type: &DataType) -> Result<ScalarValue> {
        match data_type {
            DataType::Decimal128(precision, scale) => Ok(ScalarValue::Decimal128(sum, *precision, *scale)),
            other => exec_err!("a decimal sum of type {other}"),
        }
    }
}
impl Summed for Int64Type {
    fn widen(value: i64) -> i128 {
        i128::from(value)
    }
    fn narrow(sum: i128) -> Option<i64> {
        i64::try_from(sum).ok()
    }
    fn scalar(sum: Option<i64>, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(sum))
    }
}
impl Summed for UInt64Type {
    fn widen(value: u64) -> i128 {
        i128::from(value)
    }
    fn narrow(sum: i128) -> Option<u64> {
        u64::try_from(sum).ok()
    }
    fn scalar(sum: Option<u64>, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::UInt64(sum))
    }
}

fn too_large<T>(sum: impl std::fmt::Display, data_type: &DataType) -> Result<T> {
    exec_err!("sum {sum} leaves the range of {data_type}: expected less than 10^38 for money, 64 bits for integers")
}

fn add(a: i128, b: i128, data_type: &DataType) -> Result<i128> {
    a.checked_add(b).map_or_else(|| too_large(format_args!("{a} + {b}"), data_type), Ok)
}

/// One group.
#[derive(Debug)]
struct One<T: Summed> {
    sum: i128,
    values: u64,
    data_type: DataType,
    kind: PhantomData<T>,
}
impl<T: Summed> One<T> {
    const fn new(data_type: DataType) -> Self {
        Self { sum: 0, values: 0, data_type, kind: PhantomData }
    }
    fn each(&mut self, array: &ArrayRef, mut step: impl FnMut(&mut Self, i128) -> Result<()>) -> Result<()> {
        for value in array.as_primitive::<T>().iter().flatten() {
            step(self, T::widen(value))?;
        }
        Ok(())
    }
}
impl<T: Summed> Accumulator for One<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(&values[0], |this, value| {
            this.sum = add(this.sum, value, &this.data_type)?;
            this.values += 1;
            Ok(())
        })
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(&values[0], |this, value| {
            this.sum = add(this.sum, -value, &this.data_type)?;
            this.values = this.values.saturating_sub(1);
            Ok(())
        })
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.values == 0 {
            return T::scalar(None, &self.data_type);
        }
        match T::narrow(self.sum) {
            Some(sum) => T::scalar(Some(sum), &self.data_type),
            None => too_large(self.sum, &self.data_type),
        }
    }
    fn size(&self) -> usize {
        size_of_val(self)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// Many groups at a time.
#[derive(Debug)]
struct Groups<T: Summed> {
    sums: Vec<i128>,
    seen: Vec<bool>,
    data_type: DataType,
    kind: PhantomData<T>,
}
impl<T: Summed> Groups<T> {
    const fn new(data_type: DataType) -> Self {
        Self { sums: Vec::new(), seen: Vec::new(), data_type, kind: PhantomData }
    }
}
impl<T: Summed> GroupsAccumulator for Groups<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.sums.resize(total_groups, 0);
        self.seen.resize(total_groups, false);
        if values.null_count() == 0 && filter.is_none() {
            for (group, value) in groups.iter().zip(values.values()) {
                let sum = &mut self.sums[*group];
                *sum = match sum.checked_add(T::widen(*value)) {
                    Some(next) => next,
                    None => return too_large(*sum, &self.data_type),
                };
                self.seen[*group] = true;
            }
            return Ok(());
        }
        for (row, group) in groups.iter().enumerate() {
            let counted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counted && values.is_valid(row) {
                self.sums[*group] = add(self.sums[*group], T::widen(values.value(row)), &self.data_type)?;
                self.seen[*group] = true;
            }
        }
        Ok(())
    }
    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let seen = emit_to.take_needed(&mut self.seen);
        let mut out = Vec::with_capacity(sums.len());
        for sum in sums {
            match T::narrow(sum) {
                Some(value) => out.push(value),
                None => return too_large(sum, &self.data_type),
            }
        }
        let nulls = seen.contains(&false).then(|| NullBuffer::from(seen));
        let array = PrimitiveArray::<T>::new(out.into(), nulls).with_data_type(self.data_type.clone());
        Ok(Arc::new(array))
    }
    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }
    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.update_batch(values, groups, None, total_groups)
    }
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>().clone().with_data_type(self.data_type.clone());
        let Some(filter) = filter else { return Ok(vec![Arc::new(values)]) };
        let kept = (0..filter.len()).map(|row| filter.is_valid(row) && filter.value(row)).collect::<NullBuffer>();
        let nulls = NullBuffer::union(values.nulls(), Some(&kept));
        let (_, buffer, _) = values.into_parts();
        let array = PrimitiveArray::<T>::new(buffer, nulls).with_data_type(self.data_type.clone());
        Ok(vec![Arc::new(array)])
    }
    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}
