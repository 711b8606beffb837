#!/usr/bin/env python3
"""A ClickHouse server with HTTP and TCP ports, without a ClickHouse binary.

libchdb.so, the engine for use within a process, still carries the command `clickhouse local`, and that can open the
server's own ports with SYSTEM START LISTEN. So: run it on a folder, open the ports, and keep one query asleep for as long
as the server is to live. SIGTERM ends that query, after which the command closes tables and ports in good order.

  chserver.py --lib libchdb.so --path DIR --config FILE [--host 127.0.0.1] [--http 8123] [--tcp 9000]
"""
import argparse
import ctypes
import http.client
import os
import signal
import sys
import threading

parser = argparse.ArgumentParser(description="A ClickHouse server from libchdb.so.")
parser.add_argument("--lib", required=True)
parser.add_argument("--path", required=True)
parser.add_argument("--config", required=True)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--http", type=int, default=8123)
parser.add_argument("--tcp", type=int, default=9000)
options = parser.parse_args()

TAG = "chserver-sleeps"
SLEEP = (f"SELECT '{TAG}', sleepEachRow(1) FROM system.numbers SETTINGS max_block_size=1, max_threads=1, "
         "max_execution_time=0, function_sleep_max_microseconds_per_block=0 FORMAT Null")
COMMAND = ["clickhouse", "--path", options.path, "--config-file", options.config, "--log-level", "warning",
           "--listen_host", options.host, "--http_port", str(options.http), "--tcp_port", str(options.tcp),
           "--query", f"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; {SLEEP}"]
STOP_SECONDS = 15


class Result(ctypes.Structure):
    """`local_result_v2` of chdb.h."""
    _fields_ = [("buf", ctypes.c_void_p), ("len", ctypes.c_size_t), ("_vec", ctypes.c_void_p),
                ("elapsed", ctypes.c_double), ("rows", ctypes.c_uint64), ("bytes", ctypes.c_uint64),
                ("error", ctypes.c_char_p)]


stopping = threading.Event()


def serve():
    """Runs the command to its end, and ends the process."""
    library = ctypes.CDLL(options.lib)
    library.query_stable_v2.restype = ctypes.POINTER(Result)
    arguments = (ctypes.c_char_p * len(COMMAND))(*[word.encode() for word in COMMAND])
    result = library.query_stable_v2(len(COMMAND), arguments).contents
    failed = bool(result.error) and not stopping.is_set()
    if failed:
        print(result.error.decode(errors="replace"), file=sys.stderr, flush=True)
    os._exit(1 if failed else 0)


# Blocked before the engine starts its threads, so that they inherit it and the signal waits for sigwait.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
threading.Thread(target=serve, daemon=True).start()
signal.sigwait({signal.SIGTERM, signal.SIGINT})
stopping.set()
try:
    connection = http.client.HTTPConnection(options.host, options.http, timeout=3)
    connection.request("POST", "/", f"KILL QUERY WHERE startsWith(query, 'SELECT ''{TAG}''') ASYNC")
    connection.getresponse().read()
    connection.close()
    threading.Event().wait(STOP_SECONDS)  # serve() ends the process before
except OSError:
    pass
os._exit(1)
