#!/usr/bin/env python3
"""A small Telegram router with a stub transport: it answers messages by persona, and says how it is on /healthz.

    router.py --env-file FILE --check-config     only checks the configuration; exit code 78 when it is wrong
    router.py --env-file FILE                    serves until INT or TERM, then drains its queue
"""
import argparse
import hashlib
import json
import os
import queue
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BAD_CONFIG = 78
ESCAPES = {"\\": "\\", '"': '"', "$": "$", "n": "\n"}


def log(event, **fields):
    print(json.dumps({"event": event, "time": round(time.time(), 3), **fields}), flush=True)


def unquote(written):
    """The dotenv dialect of docs/environments.md, and nothing more."""
    if not written.startswith('"'):
        if any(c in written for c in " \t'\"$`\\#"):
            raise ValueError("a bare value with a character that needs quotes")
        return written
    out, rest = [], iter(written[1:])
    for c in rest:
        if c == '"':
            if next(rest, None) is not None:
                raise ValueError("something behind the closing quote")
            return "".join(out)
        if c == "\\":
            c = ESCAPES.get(next(rest, ""), None)
            if c is None:
                raise ValueError("an unknown escape")
        elif c == "$":
            raise ValueError("a bare $")
        out.append(c)
    raise ValueError("no closing quote")


def read_env(path):
    values = {}
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file.read().split("\n"), 1):
            if not line or line.startswith("#"):
                continue
            key, mark, written = line.partition("=")
            if not mark or key in values:
                raise ValueError(f"line {number}: no `=`, or a key twice")
            try:
                values[key] = unquote(written)
            except ValueError as error:
                raise ValueError(f"line {number}, {key}: {error}") from None
    return values


def faults(values):
    """Everything that is wrong with the configuration; never with a value in it."""
    found = []
    need = ["ROUTER_ENV", "HOST", "PORT", "TELEGRAM_BOT_TOKEN", "A2A_TOKEN", "A2A_BASE_URL", "PERSONA_MAP"]
    found += [f"{key} is missing" for key in need if not values.get(key)]
    for key in ["TELEGRAM_BOT_TOKEN", "A2A_TOKEN"]:
        if 0 < len(values.get(key, "")) < 20:
            found.append(f"{key} is too short")
    mode = values.get("TELEGRAM_TRANSPORT_MODE")
    if mode not in ("stub", "live"):
        found.append("TELEGRAM_TRANSPORT_MODE is neither stub nor live")
    for key in ["PORT", "QUEUE_MAX_DEPTH", "DRAIN_SECONDS"]:
        if not values.get(key, "0").isdigit():
            found.append(f"{key} is no number")
    try:
        with open(values.get("PERSONA_MAP", ""), "rb") as file:
            text = file.read()
        if hashlib.sha256(text).hexdigest() != values.get("PERSONA_MAP_SHA256"):
            found.append("the persona map is not the one that was approved")
        if values.get("PERSONA_DEFAULT") not in json.loads(text):
            found.append("PERSONA_DEFAULT is not in the persona map")
    except (OSError, ValueError) as error:
        found.append(f"the persona map cannot be read: {type(error).__name__}")
    return found


class StubTransport:
    """Makes a message now and then, and takes every answer: nothing leaves this machine."""

    def __init__(self, token):
        self.fingerprint = hashlib.sha256(token.encode()).hexdigest()[:8]

    def poll(self):
        return {"chat": "4f1c2a", "text": "hello"}

    def send(self, chat, text):
        return True


class Router:
    def __init__(self, values):
        self.values = values
        self.state = "starting"
        self.queue = queue.Queue(int(values["QUEUE_MAX_DEPTH"]))
        self.transport = StubTransport(values["TELEGRAM_BOT_TOKEN"])
        self.stopping = threading.Event()
        self.answered = 0
        with open(values["PERSONA_MAP"], encoding="utf-8") as file:
            self.personas = json.load(file)

    def work(self):
        persona = self.personas[self.values["PERSONA_DEFAULT"]]
        self.state = "ready"
        while not self.stopping.is_set():
            self.queue.put(self.transport.poll())
            message = self.queue.get()
            if self.transport.send(message["chat"], persona["reply"]):
                self.answered += 1
            self.stopping.wait(0.05)

    def health(self):
        ready = self.state == "ready"
        status = "ready" if ready else "degraded"
        return ready, {
            "router": {"state": self.state},
            "telegram": {"status": status, "mode": self.values["TELEGRAM_TRANSPORT_MODE"]},
            "a2a": {"status": status},
            "queue": {"depth": self.queue.qsize()},
            "environment": self.values["ROUTER_ENV"],
            "answered": self.answered,
        }


def serve(values):
    router = Router(values)

    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != values["HEALTHCHECK_PATH"]:
                self.send_error(404)
                return
            ready, told = router.health()
            body = json.dumps(told).encode()
            self.send_response(200 if ready else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer((values["HOST"], int(values["PORT"])), Health)
    worker = threading.Thread(target=router.work, daemon=True)

    def stop(number, frame):
        log("router.stop", signal=signal.Signals(number).name)
        if os.environ.get("ROUTER_IGNORES_INT") and number == signal.SIGINT:
            return
        router.state = "draining"
        router.stopping.set()
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    worker.start()
    log("router.start", port=server.server_address[1], env=values["ROUTER_ENV"], token=router.transport.fingerprint)
    server.serve_forever(poll_interval=0.05)
    worker.join(int(values["DRAIN_SECONDS"]))
    log("router.end", answered=router.answered, queue=router.queue.qsize())
    return 0 if router.queue.empty() else 1


def main():
    parser = argparse.ArgumentParser(description="a small Telegram router with a stub transport")
    parser.add_argument("--env-file", required=True)
    parser.add_argument("--check-config", action="store_true")
    args = parser.parse_args()
    try:
        values = read_env(args.env_file)
    except (OSError, ValueError) as error:
        log("config.guard", ok=False, faults=[str(error)])
        return BAD_CONFIG
    found = faults(values)
    log("config.guard", ok=not found, faults=found)
    if found:
        return BAD_CONFIG
    return 0 if args.check_config else serve(values)


if __name__ == "__main__":
    sys.exit(main())
