"""Asks an Arrow Flight SQL server these queries, each of which it refuses.

usage: flight_refused.py ADDRESS QUERY...
Prints a JSON array of what was said, null for a query that was answered.
"""

import json
import sys

import adbc_driver_flightsql.dbapi as flight

from flight_client import refused


def main():
    with flight.connect(sys.argv[1], autocommit=True) as connection:
        print(json.dumps([refused(connection, query) for query in sys.argv[2:]]))


main()
