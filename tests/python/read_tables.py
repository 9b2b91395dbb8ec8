"""Reads every published table of a data folder with three independent readers and prints what they found.

usage: read_tables.py DATA_DIR TABLE...
Prints one JSON object: {table: {rows, sums: {column: decimal text}}} after checking that Python's deltalake, DuckDB
and Polars agree. Columns of type decimal are summed; no cast is used anywhere.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import polars
from deltalake import DeltaTable


def decimal_columns(schema):
    return [name for name, dtype in schema.items() if dtype == polars.Decimal]


def text(value):
    return "0" if value is None else format(Decimal(value), "f")


def main():
    data, tables = Path(sys.argv[1]), sys.argv[2:]
    database = duckdb.connect()
    out = {}
    for table in tables:
        delta = DeltaTable(str(data / "tables" / table))
        uris = [uri.removeprefix("file://") for uri in delta.file_uris()]
        if not uris:
            out[table] = {"rows": 0, "sums": {}}
            continue
        frame = polars.read_parquet(uris)
        lake = polars.read_delta(str(data / "tables" / table))
        assert frame.height == lake.height, (table, frame.height, lake.height)
        columns = decimal_columns(frame.schema)
        sums = {name: text(sum((value for value in frame[name].to_list() if value is not None), Decimal(0))) for name in columns}
        relation = database.read_parquet(uris)
        types = dict(zip(relation.columns, map(str, relation.types)))
        assert set(frame.columns) == set(types), (table, frame.columns, types)
        rows = relation.aggregate("count(*)").fetchall()[0][0]
        assert rows == frame.height, (table, rows, frame.height)
        for name in columns:
            assert types[name] == "DECIMAL(38,0)", (table, name, types[name])
            duck = relation.aggregate(f'sum("{name}")').fetchall()[0][0]
            assert text(duck) == sums[name], (table, name, duck, sums[name])
        out[table] = {"rows": rows, "sums": sums}
    print(json.dumps(out))


main()
