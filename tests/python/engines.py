"""Divides an epoch's money over its attribution records with an engine that is not ours.

usage: engines.py ENGINE FOLDER RESULT.csv THREADS
FOLDER holds the published table `attributions` and `amounts.parquet`: the money on each inference as `amount`, and as
`whole` and `rest` of its division by the total of the weights. RESULT gets a line `contribution,sum` for each.
Prints {wall_seconds, cpu_seconds, peak_rss_bytes} of the division alone, or {skipped} with the reason.
"""

import glob
import json
import os
import pwd
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from deltalake import DeltaTable

JOIN = "records r join amounts a on r.batch_sk = a.batch_sk and r.inference = a.inference"


def tables(folder):
    delta = DeltaTable(str(folder / "tables" / "attributions"))
    return [uri.removeprefix("file://") for uri in delta.file_uris()], str(folder / "amounts.parquet")


def own_cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_rss():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def timed(work):
    cpu, start = own_cpu(), time.monotonic()
    result = work()
    taken = {"wall_seconds": time.monotonic() - start, "cpu_seconds": own_cpu() - cpu, "peak_rss_bytes": peak_rss()}
    return result, taken


def duckdb_with(part, folder, result, threads):
    import duckdb

    records, amounts = tables(folder)
    database = duckdb.connect(config={"threads": threads})
    database.execute(f"create view records as select * from read_parquet({records!r})")
    database.execute(f"create view amounts as select * from read_parquet({amounts!r})")
    query = f"select r.target_sk, sum({part}) as sum from {JOIN} group by r.target_sk"
    frame, taken = timed(lambda: database.execute(query).to_arrow_table())
    with open(result, "w") as out:
        for sk, value in zip(frame["target_sk"].to_pylist(), frame["sum"].to_pylist()):
            out.write(f"{sk},{int(value)}\n")
    return taken


def duckdb_hugeint(folder, result, threads):
    part = (
        "a.whole::hugeint * r.weight + (a.rest::hugeint * (r.weight_before + r.weight)) // r.weight_total"
        " - (a.rest::hugeint * r.weight_before) // r.weight_total"
    )
    return duckdb_with(part, folder, result, threads)


def duckdb_double(folder, result, threads):
    return duckdb_with("a.amount::double * r.weight / r.weight_total", folder, result, threads)


def polars_int128(folder, result, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars

    records, amounts = tables(folder)
    wide = lambda name: polars.col(name).cast(polars.Int128)
    money = polars.scan_parquet(amounts).select("batch_sk", "inference", wide("whole"), wide("rest"))
    total = wide("weight_total")
    upto, before = wide("weight_before") + wide("weight"), wide("weight_before")
    part = wide("whole") * wide("weight") + (wide("rest") * upto) // total - (wide("rest") * before) // total
    query = (
        polars.scan_parquet(records)
        .select("batch_sk", "inference", "target_sk", "weight_before", "weight", "weight_total")
        .join(money, on=["batch_sk", "inference"])
        .select("target_sk", part.alias("part"))
        .group_by("target_sk")
        .agg(polars.col("part").sum())
    )
    frame, taken = timed(lambda: query.collect(engine="streaming"))
    with open(result, "w") as out:
        for sk, value in frame.iter_rows():
            out.write(f"{sk},{value}\n")
    return taken


def postgres_programs():
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return Path(folders[-1]).parent if folders else None


def process_tree(root):
    """The server and its children, as (user and system ticks, also of children that ended; proportional memory)."""
    ticks, bytes_ = 0, 0
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            fields = Path(stat).read_text().rsplit(")", 1)[1].split()
            process = int(stat.split("/")[2])
            if process != root and int(fields[1]) != root:
                continue
            ticks += sum(map(int, fields[11:13])) + (sum(map(int, fields[13:15])) if process == root else 0)
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            bytes_ += next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return ticks, bytes_


class Peak(threading.Thread):
    """The most memory the server had while this ran, looked at ten times a second."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.bytes, self.over = root, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            self.bytes = max(self.bytes, process_tree(self.root)[1])


def postgres(folder, result, threads):
    programs = postgres_programs()
    if programs is None:
        return {"skipped": "PostgreSQL is not installed: there is no initdb"}
    home = tempfile.mkdtemp(prefix="engines-postgres-")
    user = []
    if os.geteuid() == 0:
        # The server refuses to run as root.
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            return {"skipped": "PostgreSQL does not run as root, and there is no user postgres"}
        os.chown(home, account.pw_uid, account.pw_gid)
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data, server = f"{home}/data", None
    try:
        made = [f"{programs}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(user + made, check=True, capture_output=True, cwd="/")
        # Sockets in a folder of its own, and no port.
        settings = {
            "listen_addresses": "", "unix_socket_directories": home, "shared_buffers": "512MB", "work_mem": "512MB",
            "maintenance_work_mem": "512MB", "max_wal_size": "8GB", "fsync": "off", "autovacuum": "off", "jit": "off",
            "max_parallel_workers_per_gather": str(threads - 1), "max_parallel_workers": str(threads),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # Through setpriv and exec, the process that is started is the server.
        server = subprocess.Popen(user + [f"{programs}/postgres", "-D", data, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        return divide_in_postgres(programs, home, server, folder, result)
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        shutil.rmtree(home, ignore_errors=True)


def divide_in_postgres(programs, home, server, folder, result):
    psql = [f"{programs}/psql", "-h", home, "-U", "postgres", "-d", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    for _ in range(600):
        if subprocess.run([f"{programs}/pg_isready", "-q", "-h", home], cwd="/").returncode == 0:
            break
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        time.sleep(0.1)
    load(psql, folder)
    before, peak = process_tree(server.pid)[0], Peak(server.pid)
    peak.start()
    part = (
        "div(a.amount * (r.weight_before + r.weight), r.weight_total::numeric)"
        " - div(a.amount * r.weight_before, r.weight_total::numeric)"
    )
    query = f"create unlogged table sums as select r.target_sk, sum({part}) as sum from {JOIN} group by r.target_sk"
    start = time.monotonic()
    subprocess.run(psql + ["-c", query], check=True, cwd="/", stdout=subprocess.DEVNULL)
    wall = time.monotonic() - start
    # The process of the connection is counted once the server has seen its end.
    time.sleep(0.5)
    peak.over.set()
    cpu = (process_tree(server.pid)[0] - before) / os.sysconf("SC_CLK_TCK")
    with open(result, "w") as out:
        subprocess.run(psql + ["-c", "copy sums to stdout (format csv)"], check=True, cwd="/", stdout=out)
    return {"wall_seconds": wall, "cpu_seconds": cpu, "peak_rss_bytes": peak.bytes}


def load(psql, folder):
    """Into tables of its own, which is not timed."""
    import pyarrow.csv
    import pyarrow.parquet

    records, amounts = tables(folder)
    weights = ["batch_sk", "inference", "target_sk", "weight_before", "weight", "weight_total"]
    for table, columns, files in [
        ("records", {name: "int" if name == "inference" else "bigint" for name in weights}, records),
        ("amounts", {"batch_sk": "bigint", "inference": "int", "amount": "numeric"}, [amounts]),
    ]:
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        subprocess.run(psql + ["-c", f"create unlogged table {table} ({declared})"], check=True, cwd="/")
        copy = subprocess.Popen(psql + ["-c", f"copy {table} from stdin (format csv)"], stdin=subprocess.PIPE, cwd="/")
        options = pyarrow.csv.WriteOptions(include_header=False)
        for file in files:
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches(columns=list(columns)):
                pyarrow.csv.write_csv(batch, copy.stdin, options)
        copy.stdin.close()
        if copy.wait() != 0:
            raise RuntimeError(f"loading {table} failed")
    subprocess.run(psql + ["-c", "analyze"], check=True, cwd="/")


def main():
    engine, folder, result, threads = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    engines = {
        "duckdb-hugeint": duckdb_hugeint, "duckdb-double": duckdb_double, "polars-int128": polars_int128, "postgres": postgres,
    }
    print(json.dumps(engines[engine](folder, result, threads)))


main()
