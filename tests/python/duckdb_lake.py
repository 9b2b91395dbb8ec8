"""Opens a lake in DuckDB with the script of `tributary sql --duckdb` and runs queries over it.

usage: duckdb_lake.py SCRIPT QUERY.sql...
Prints one JSON object: {name: [row, ...]}, rows as `tributary sql --format json` writes them: decimals and wide integers
as text, times in UTC, bytes as hex.
"""

import json
import sys
from datetime import timezone
from decimal import Decimal
from pathlib import Path

import duckdb


def plain(value):
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if hasattr(value, "astimezone"):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def rows(database, query):
    found = database.execute(query)
    types = [column[1] for column in found.description]
    names = [column[0] for column in found.description]
    # DuckDB's sum over integers is as wide as a decimal.
    wide = [str(kind) == "HUGEINT" for kind in types]
    return [
        {name: str(value) if big and value is not None else plain(value) for name, value, big in zip(names, row, wide)}
        for row in found.fetchall()
    ]


def main():
    script, queries = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    database = duckdb.connect()
    database.execute(script.read_text())
    print(json.dumps({query.stem: rows(database, query.read_text()) for query in queries}))


main()
