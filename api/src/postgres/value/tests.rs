use super::*;
use arrow::array::{Decimal128Array, Float64Array, Int64Array, ListArray, TimestampMicrosecondArray, UInt64Array};

fn cell(column: ArrayRef, format: i16) -> Vec<u8> {
    let wanted = Type::of(column.data_type());
    let mut body = Vec::new();
    Cells::new(&column, wanted, format).unwrap().put(0, &mut body);
    let (length, rest) = body.split_first_chunk::<4>().unwrap();
    assert_eq!(usize::try_from(i32::from_be_bytes(*length)).unwrap(), rest.len());
    rest.to_vec()
}

fn text(column: ArrayRef) -> String {
    String::from_utf8(cell(column, 0)).unwrap()
}

fn decimal(value: i128, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap())
}

/// Fields and groups of a numeric in binary.
fn numeric(value: i128, scale: i8) -> Vec<i16> {
    cell(decimal(value, scale), 1).chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect()
}

#[test]
fn decimals_keep_every_digit() {
    let most = 99_999_999_999_999_999_999_999_999_999_999_999_999i128;
    assert_eq!(text(decimal(-most, 0)), format!("-{most}"));
    assert_eq!(text(decimal(1_005, 3)), "1.005");
    // As PostgreSQL 15 sends them: the count of groups, the place of the first, the sign, the scale, the groups.
    for (value, scale, expected) in [
        (0, 0, vec![0, 0, 0, 0]),
        (1, 0, vec![1, 0, 0, 0, 1]),
        (10_000, 0, vec![1, 1, 0, 0, 1]),
        (-123_456_789, 0, vec![3, 2, 0x4000, 0, 1, 2345, 6789]),
        (1_005, 3, vec![2, 0, 0, 3, 1, 50]),
        (5, 5, vec![1, -2, 0, 5, 5000]),
        (100, 2, vec![1, 0, 0, 2, 1]),
        (-1, 1, vec![1, -1, 0x4000, 1, 1000]),
    ] {
        assert_eq!(numeric(value, scale), expected, "{value}e-{scale}");
    }
    assert_eq!(numeric(most, 0).len(), 4 + 10);
    assert_eq!(text(Arc::new(UInt64Array::from(vec![u64::MAX]))), u64::MAX.to_string());
}

#[test]
fn cells_are_written_as_postgresql_writes_them() {
    let time = |micros: i64| Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")) as ArrayRef;
    assert_eq!(text(time(1_700_000_000_000_000)), "2023-11-14 22:13:20+00");
    assert_eq!(text(time(1_700_000_000_120_000)), "2023-11-14 22:13:20.120+00");
    assert_eq!(cell(time(EPOCH_MICROS + 7), 1), 7i64.to_be_bytes());
    for (number, expected) in
        [(1.0, "1"), (0.1, "0.1"), (1e20, "1e20"), (f64::NAN, "NaN"), (f64::NEG_INFINITY, "-Infinity"), (-0.0, "-0")]
    {
        assert_eq!(text(Arc::new(Float64Array::from(vec![number]))), expected);
    }
    assert_eq!(text(Arc::new(BooleanArray::from(vec![true]))), "t");
    assert_eq!(text(Arc::new(BinaryArray::from_vec(vec![&[0xab, 0x01]]))), "\\xab01");
    assert_eq!(text(Arc::new(StringArray::from(vec!["a\0b"]))), "a\u{fffd}b");
    let interval = IntervalMonthDayNanoType::make_value(14, -3, -3_723_500_000_000);
    assert_eq!(text(Arc::new(IntervalMonthDayNanoArray::from(vec![interval]))), "14 mons -3 days -01:02:03.500000");
    assert_eq!(interval_text(0, 0, 0), "0 mons 0 days 00:00:00.000000");
}

#[test]
fn lists_are_lists() {
    let numbers =
        || Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None])])) as ArrayRef;
    assert_eq!(text(numbers()), "{1,NULL}");
    let fields = [1, 1, 20, 2, 1].map(i32::to_be_bytes).concat();
    let items = [&8i32.to_be_bytes()[..], &1i64.to_be_bytes(), &(-1i32).to_be_bytes()].concat();
    assert_eq!(cell(numbers(), 1), [fields, items].concat());
    let mut words = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for word in ["plain", "two words", "", "null", "a\"b\\c"] {
        words.values().append_value(word);
    }
    words.append(true);
    assert_eq!(text(Arc::new(words.finish())), r#"{plain,"two words","","null","a\"b\\c"}"#);
}

#[test]
fn what_postgresql_has_nothing_like_is_text() {
    let field = Arc::new(Field::new("n", DataType::Int64, false));
    let made = arrow::array::StructArray::from(vec![(field, Arc::new(Int64Array::from(vec![7])) as ArrayRef)]);
    assert_eq!(Type::of(made.data_type()), Type::TEXT);
    assert_eq!(text(Arc::new(made)), "{n: 7}");
    assert_eq!(Type::of(&DataType::Decimal128(38, 2)).sql(), "numeric(38,2)");
    assert_eq!(Type::of(&DataType::Decimal128(38, 2)).oid(), 1700);
    assert_eq!((Type::from_oid(1016).unwrap().sql(), Type::from_oid(2950)), ("bigint[]".to_owned(), None));
}
