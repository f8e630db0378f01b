#!/usr/bin/env python3
"""TDE-X's bridge, in small: an HTTP service over PostgreSQL, with nothing but the standard library and `psql`.

    bridge.py --version VERSION --port-file FILE --assets DIR

DATABASE_URL and SECRET_KEY come from the environment. /health/live is 200 once the process runs; /health/ready is 200
while the database answers and its schema is the one that this version was written for.
"""
import argparse
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCHEMA = 3
args = None


def query(sql):
    """The rows of a query as lists of text; raises when the database does not answer."""
    url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    done = subprocess.run(
        ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql],
        capture_output=True, text=True, timeout=5, env={**os.environ, "PGCONNECT_TIMEOUT": "3"}, check=False,
    )
    if done.returncode != 0:
        raise RuntimeError("the database does not answer")
    return [line.split("\t") for line in done.stdout.splitlines()]


def live():
    return 200, {"status": "ok", "alive": True}


def ready():
    schema = int(query("select coalesce(max(number), 0) from schema_migrations")[0][0])
    if schema != SCHEMA:
        return 503, {"status": "waiting", "message": f"the schema is {schema}, not {SCHEMA}"}
    return 200, {"status": "ready", "message": f"schema {schema}"}


def shards():
    return 200, {"shards": [{"name": name, "kind": kind} for name, kind in query("select name, kind from shards order by 1")]}


def tasks():
    return 200, {"tasks": int(query("select count(*) from tasks")[0][0])}


def session():
    key = os.environ["SECRET_KEY"].encode()
    return 200, {"fingerprint": hmac.new(key, b"session", hashlib.sha256).hexdigest()[:16]}


def assets():
    return 200, {"assets": len(os.listdir(args.assets)) if os.path.isdir(args.assets) else 0}


ROUTES = {
    "/health/live": live, "/health/ready": ready, "/api/shards": shards, "/api/tasks": tasks,
    "/api/session": session, "/api/assets": assets,
}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, told = ROUTES[self.path]() if self.path in ROUTES else (404, {"status": "unknown"})
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            status, told = 503, {"status": "error", "message": str(error).split("postgresql", 1)[0]}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", args.version)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    global args
    parser = argparse.ArgumentParser(description="TDE-X's bridge, in small")
    for name in ["version", "port-file", "assets"]:
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    missing = [name for name in ["DATABASE_URL", "SECRET_KEY"] if not os.environ.get(name)]
    if missing:
        sys.exit(f"not set: {', '.join(missing)}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with open(args.port_file + ".new", "w", encoding="utf-8") as file:
        file.write(str(server.server_address[1]))
    os.rename(args.port_file + ".new", args.port_file)
    print(f"bridge {args.version} serves on port {server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()


if __name__ == "__main__":
    main()
