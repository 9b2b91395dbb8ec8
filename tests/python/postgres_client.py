"""Asks a server of PostgreSQL's protocol through psycopg: values of every type in both forms, binds, cursors,
transactions, errors with their SQLSTATE, and what is refused.

usage: postgres_client.py CONNECTION_STRING
Reads a JSON list of statements that are to be refused; prints one JSON object.
"""

import datetime
import decimal
import json
import sys

import psycopg
from psycopg.types.numeric import Int8

MOST = decimal.Decimal("9" * 38)
EVERYTHING = """
    SELECT true AS yes, CAST(-7 AS smallint) AS small, CAST(70000 AS int) AS middle, 9007199254740993 AS large,
           CAST(0.5 AS real) AS single, CAST('1e300' AS double precision) AS double,
           99999999999999999999999999999999999999 AS most, CAST(-0.00012 AS decimal(38, 5)) AS little,
           'zwei Wörter' AS words, decode('00ff', 'hex') AS bytes, DATE '2024-02-29' AS day,
           TIMESTAMP '2024-02-29T12:34:56.789012' AS local,
           CAST('2024-02-29T12:34:56Z' AS timestamptz) AS instant,
           INTERVAL '1' MONTH AS month, ARRAY[1, NULL, 3] AS numbers, ARRAY['a', 'b c', 'null', '"'] AS texts,
           NULL AS nothing
"""


def plain(value):
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (datetime.date, datetime.datetime, datetime.timedelta, decimal.Decimal)):
        return str(value)
    return value


def state(connection, statement, values=None):
    """The SQLSTATE of a statement, or the rows that it gave."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return [cursor.statusmessage, cursor.fetchall() if cursor.description else None]
    except psycopg.Error as error:
        return error.sqlstate


def binds(connection):
    """Each value as a parameter in both forms, and what came back of it."""
    values = {
        "small": 7,
        "middle": 70_000,
        "large": Int8(2**60),
        "numeric": MOST,
        "fraction": decimal.Decimal("-0.00012"),
        "double": 2.5,
        "text": "it's",
        "bytes": b"\x00\xff",
        "day": datetime.date(2024, 2, 29),
        "instant": datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=datetime.timezone.utc),
        "local": datetime.datetime(2024, 2, 29, 12, 34, 56),
        "time": datetime.time(12, 34, 56),
        "yes": True,
        "list": [1, 2, 3],
        "none": None,
    }
    differ = {}
    for name, value in values.items():
        for form in ("%t", "%b"):
            if value is None and form == "%b":
                continue
            for binary in (False, True):
                with connection.cursor(binary=binary) as cursor:
                    got = cursor.execute(f"SELECT {form} AS it", (value,)).fetchone()[0]
                if got != value:
                    differ[f"{name} {form} {binary}"] = [repr(value), repr(got)]
    return differ


def main():
    conninfo = sys.argv[1]
    statements = json.load(sys.stdin)
    out = {}
    connection = psycopg.connect(conninfo, autocommit=True)
    out["version"] = connection.info.server_version
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            cursor.execute(EVERYTHING)
            names = [column.name for column in cursor.description]
            row = dict(zip(names, map(plain, cursor.fetchone())))
            out["binary" if binary else "text"] = row
    with connection.cursor() as cursor:
        cursor.execute("SELECT amount FROM entitlements LIMIT 0")
        column = cursor.description[0]
        out["amount"] = [column.type_code, column.precision, column.scale]
    out["differ"] = binds(connection)

    # Values whose type follows from their place: text without a type.
    blocks = "SELECT number FROM blocks WHERE number >= %s AND number < %s ORDER BY number"
    out["bound"] = [row[0] for row in connection.execute(blocks, (3, 6))]
    out["as_text"] = [row[0] for row in connection.execute(blocks, ("3", "6"))]
    out["any"] = [row[0] for row in connection.execute("SELECT number FROM blocks WHERE number = ANY(%s) ORDER BY 1", ([4, 2],))]
    hash = connection.execute("SELECT hash FROM blocks WHERE number = 3").fetchone()[0]
    out["by_hash"] = connection.execute("SELECT number FROM blocks WHERE hash = %s", (hash,)).fetchone()[0]
    out["prepared"] = [
        connection.execute(blocks, (at, at + 1), prepare=True).fetchone()[0] for at in range(1, 9)
    ]
    money = "SELECT count(*) FROM entitlements WHERE amount >= %s"
    out["by_money"] = [connection.execute(money, (value,)).fetchone()[0] for value in (decimal.Decimal(0), MOST)]

    # More rows than are sent at a time.
    with psycopg.connect(conninfo, autocommit=True) as other, other.cursor() as cursor:
        rows = cursor.stream("SELECT value FROM generate_series(1, 100000)")
        out["streamed"] = sum(row[0] for row in rows)

    # A transaction holds its snapshot, fails as a whole, and savepoints are gone back to.
    with psycopg.connect(conninfo) as other:
        out["in_transaction"] = other.info.transaction_status.name
        other.execute("SELECT 1")
        out["in_transaction"] = other.info.transaction_status.name
        out["failed"] = [state(other, "SELECT nothing"), state(other, "SELECT 1"), other.info.transaction_status.name]
        other.rollback()
        with other.transaction():
            try:
                with other.transaction():
                    other.execute("SELECT 1 / 0")
            except psycopg.Error as error:
                out["inner"] = error.sqlstate
            out["outer"] = other.execute("SELECT 2").fetchone()[0]

    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(5)]
        out["pipeline"] = [cursor.fetchone()[0] for cursor in cursors]

    # Catalogue by the name of a type.
    info = psycopg.types.TypeInfo.fetch(connection, "numeric")
    out["type"] = [info.oid, info.array_oid]
    out["columns"] = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'blocks' ORDER BY ordinal_position"
    ).fetchall()[:2]
    out["oid"] = connection.execute("SELECT 'blocks'::regclass::oid = (SELECT oid FROM pg_class WHERE relname = 'blocks' AND pg_table_is_visible(oid))").fetchone()[0]
    # As Grafana asks for the tables of the search path.
    out["grafana"] = len(connection.execute("""
        select quote_ident(table_name) as "table" from information_schema.tables
        where quote_ident(table_schema) not in ('information_schema', 'pg_catalog')
          and quote_ident(table_schema) IN (
            SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
            FROM generate_series(
                array_lower(string_to_array(current_setting('search_path'),','),1),
                array_upper(string_to_array(current_setting('search_path'),','),1)
              ) as i,
              string_to_array(current_setting('search_path'),',') s)
        order by 1""").fetchall())
    out["version_num"] = connection.execute("SELECT current_setting('server_version_num')::int/100").fetchone()[0]

    out["states"] = {
        what: state(connection, *asked)
        for what, asked in {
            "syntax": ("SELEC 1",),
            "table": ("SELECT * FROM nowhere",),
            "column": ("SELECT nothing FROM blocks",),
            "function": ("SELECT nothing(1)",),
            "division": ("SELECT 1 / 0",),
            "value": ("SELECT number FROM blocks WHERE number = %s", ("three",)),
            "digits": ("SELECT %s", (decimal.Decimal("9" * 39),)),
            "setting": ("SET work_mem = '1GB'",),
            "zone": ("SET TIME ZONE 'Europe/Berlin'",),
            "setting_that_is": ("SET TIME ZONE 'UTC'",),
            "show": ("SHOW transaction_read_only",),
            "two": ("SELECT 1; SELECT 2",),
            "none": (" ; ",),
            "endless": (
                "SELECT count(*) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b "
                "WHERE a.value + b.value < 0",
            ),
        }.items()
    }
    out["refused"] = {statement: state(connection, statement) for statement in statements}
    try:
        with connection.cursor().copy("COPY blocks FROM STDIN") as copy:
            copy.write(b"1\t2\n")
        out["copied"] = True
    except psycopg.Error as error:
        out["copied"] = error.sqlstate
    out["after"] = connection.execute("SELECT 1").fetchone()[0]
    connection.close()
    print(json.dumps(out, default=str))


main()
