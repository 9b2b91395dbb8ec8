"""Asks an Arrow Flight SQL server through ADBC: metadata, queries, prepared statements, many rows, and what is refused.

usage: flight_client.py ADDRESS TARGET_FILE
Prints one JSON object.
"""

import json
import sys

import adbc_driver_flightsql.dbapi as flight


def refused(connection, statement):
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
            cursor.fetchall()
        except Exception as error:  # whatever class the driver makes of a status
            return str(error)
    return None


def objects(connection):
    found = connection.adbc_get_objects(depth="columns").read_all().to_pylist()
    tables = [table for catalog in found for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"]]
    return {
        "catalogs": [catalog["catalog_name"] for catalog in found],
        "schemas": [schema["db_schema_name"] for catalog in found for schema in catalog["catalog_db_schemas"]],
        "tables": {table["table_name"]: [table["table_type"], len(table["table_columns"])] for table in tables},
    }


def main():
    address, target = sys.argv[1], sys.argv[2]
    connection = flight.connect(address, autocommit=True)
    out = {
        "info": {str(name): value for name, value in connection.adbc_get_info().items()},
        "table_types": connection.adbc_get_table_types(),
        "objects": objects(connection),
        "views": sorted(
            table["table_name"]
            for catalog in connection.adbc_get_objects(depth="tables", table_types_filter=["VIEW"]).read_all().to_pylist()
            for schema in catalog["catalog_db_schemas"]
            for table in schema["db_schema_tables"]
        ),
        "columns": connection.adbc_get_table_schema("blocks").names,
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n, max(number) AS last FROM blocks")
        table = cursor.fetch_arrow_table()
        out["blocks"] = table.to_pylist()[0]
        out["metadata"] = sorted(name.decode() for name in (table.schema.metadata or {}))
    with connection.cursor() as cursor:
        query = "SELECT number, hash FROM blocks WHERE number >= $1 AND number < $2 ORDER BY number"
        schema = cursor.adbc_prepare(query)
        out["parameters"] = {name: str(schema.field(name).type) for name in schema.names}
        cursor.execute(query, (3, 6))
        out["bound"] = [row[0] for row in cursor.fetchall()]
        cursor.execute(query, (7, 8))
        out["bound_again"] = [row[0] for row in cursor.fetchall()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT value, value * 2 AS twice FROM generate_series(1, 1000000)")
        rows = total = 0
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            total += sum(batch.column(1).to_pylist())
        out["million"] = [rows, total]
    statements = json.load(sys.stdin)
    out["refused"] = {statement: refused(connection, statement) for statement in statements}
    try:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("blocks", table, mode="append")
        out["ingested"] = True
    except Exception as error:
        out["ingested"] = str(error)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        out["after"] = cursor.fetchall()[0][0]
    connection.close()
    wrong = {"adbc.flight.sql.authorization_header": "Bearer trib_wrong"}
    try:
        with flight.connect(address, db_kwargs=wrong, autocommit=True) as stranger, stranger.cursor() as cursor:
            cursor.execute("SELECT 1")
        out["stranger"] = "answered"
    except Exception as error:
        out["stranger"] = str(error)
    print(json.dumps(out, default=str))


if __name__ == "__main__":
    main()
