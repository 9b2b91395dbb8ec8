"""Asks a node for blocks that are not sealed yet, through ADBC and through psycopg: at once, again after the chain went on,
and again after what was planned has been sealed.

usage: hot_client.py FLIGHT_ADDRESS CONNECTION_STRING
Reads a line from standard input before each of the later rounds; prints one JSON object a round.
"""

import json
import sys

import adbc_driver_flightsql.dbapi as flight
import psycopg

PREPARED = "SELECT number, hash FROM hot.blocks WHERE number >= $1 ORDER BY number"
TOP = "SELECT max(number) FROM hot.blocks"


def told(cursor):
    table = cursor.fetch_arrow_table()
    metadata = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    return {"rows": table.to_pylist(), "metadata": metadata}


def tables(connection):
    found = connection.adbc_get_objects(depth="tables", db_schema_filter="hot").read_all().to_pylist()
    schemas = [schema for catalog in found for schema in catalog["catalog_db_schemas"]]
    return {
        schema["db_schema_name"]: sorted(table["table_name"] for table in schema["db_schema_tables"])
        for schema in schemas
    }


def one(connection, query):
    return connection.execute(query).fetchone()[0]


def say(flight_told, postgres_told):
    print(json.dumps({"flight": flight_told, "postgres": postgres_told}), flush=True)


def main():
    columns = flight.connect(sys.argv[1], autocommit=True)
    rows = psycopg.connect(sys.argv[2])
    notices = []
    rows.add_notice_handler(lambda notice: notices.append(notice.message_primary))

    prepared = columns.cursor()
    prepared.adbc_prepare(PREPARED)
    with columns.cursor() as cursor:
        cursor.execute("SELECT number, hash FROM hot.blocks ORDER BY number")
        at_once = told(cursor)
    names = rows.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1", ("hot",)
    ).fetchall()
    top = one(rows, TOP)
    say(
        {"tables": tables(columns), "at_once": at_once},
        {"tables": [name for (name,) in names], "top": top, "notices": notices},
    )

    sys.stdin.readline()
    prepared.execute(PREPARED, (55,))
    with psycopg.connect(sys.argv[2], autocommit=True) as other:
        say(told(prepared), {"top": one(rows, TOP), "other": one(other, TOP)})

    sys.stdin.readline()
    try:
        prepared.execute(PREPARED, (55,))
        refused = told(prepared)
    except Exception as error:  # whatever class the driver makes of a status
        refused = str(error)
    try:
        state = one(rows, TOP)
    except psycopg.Error as error:
        state = error.sqlstate
    rows.rollback()
    say(refused, {"state": state, "range": rows.execute("SELECT min(number), max(number) FROM hot.blocks").fetchone()})


main()
