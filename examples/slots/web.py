#!/usr/bin/env python3
"""A small web service that is deployed in slots: it says which version and which slot answered.

    web.py --slot NAME --version VERSION --releases DIR --port-file FILE [--lease FILE]

A release is a file `DIR/VERSION.json`: {"latency-ms": 5, "status": 200}. With --lease the slot is active only while
that file names it; the file's line is `EPOCH SLOT`, replaced as a whole. TERM finishes what was accepted, and ends.
"""
import argparse
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = False      # the end waits for what was accepted
    args = release = None

    def handle_error(self, request, client_address):
        print("a client left before its answer", flush=True)

    def role(self):
        """Whether this slot is the active one, and of which epoch that is true."""
        if not self.args.lease:
            return {"active": True, "epoch": 0}
        with open(self.args.lease, encoding="utf-8") as file:
            epoch, holder = file.read().split()
        # A release with this fault takes itself for the active one, whatever the lease says.
        return {"active": holder == self.args.slot or bool(self.release.get("ignores-lease")), "epoch": int(epoch)}


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 2      # seconds that a connection may be idle: the end waits for none that asks nothing

    def do_GET(self):
        release, args = self.server.release, self.server.args
        told = {"version": args.version, "slot": args.slot}
        status = release.get("status", 200)
        if self.path == "/healthz":
            told["state"] = "ready" if status < 500 else "broken"
            told.update(self.server.role())
        else:
            time.sleep(release.get("latency-ms", 0) / 1000)
        body = (json.dumps(told) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", args.version)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser(description="a small web service that is deployed in slots")
    for name in ["slot", "version", "releases", "port-file"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--lease")
    args = parser.parse_args()
    with open(os.path.join(args.releases, args.version + ".json"), encoding="utf-8") as file:
        release = json.load(file)
    # The kernel chooses the port, so no two services ever want the same.
    server = Service(("127.0.0.1", 0), Answer)
    server.args, server.release = args, release
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with open(args.port_file + ".new", "w", encoding="utf-8") as file:
        file.write(str(server.server_address[1]))
    os.rename(args.port_file + ".new", args.port_file)
    print(f"{args.slot} serves {args.version} on port {server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    print(f"{args.slot} has answered everything and ends", flush=True)


if __name__ == "__main__":
    main()
