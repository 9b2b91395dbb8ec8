"""Writes published tables again as plain Parquet, with a writer that is not ours.

usage: write_tables.py DATA_DIR OUT_DIR duckdb|polars|pyarrow TABLE...
Every table goes to OUT_DIR/<table>/ with its rows in another order; pyarrow cuts it into files of 100 rows.
"""

import sys
from pathlib import Path

import duckdb
import polars
import pyarrow.parquet
from deltalake import DeltaTable


def main():
    data, out, writer, tables = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
    for table in tables:
        delta = DeltaTable(str(data / "tables" / table))
        uris = [uri.removeprefix("file://") for uri in delta.file_uris()]
        folder = out / table
        folder.mkdir(parents=True)
        if writer == "duckdb":
            database = duckdb.connect()
            rows = database.read_parquet(uris).query("published", "select * from published order by hash(published)")
            rows.write_parquet(str(folder / "all.parquet"))
        elif writer == "polars":
            frame = polars.concat([polars.read_parquet(uri) for uri in uris])
            frame.sample(fraction=1.0, shuffle=True, seed=7).write_parquet(folder / "all.parquet")
        else:
            rows = pyarrow.concat_tables([pyarrow.parquet.read_table(uri) for uri in uris])
            for start in range(rows.num_rows - rows.num_rows % 100, -1, -100):
                pyarrow.parquet.write_table(rows.slice(start, 100), folder / f"{start}.parquet")


main()
