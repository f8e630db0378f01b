#!/usr/bin/env python3
"""Constant load, bounded: so many requests a second on connections of their own, each one's outcome in a file.

    load.py URL OUT --rate 50 --seconds 60

A line is `TIME STATUS VERSION MILLISECONDS`; STATUS 0 is a connection that failed. TERM ends it after what is under way.
"""
import argparse
import http.client
import signal
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor


def ask(host, path, lines, lock):
    begun = time.time()
    status, version = 0, "-"
    try:
        link = http.client.HTTPConnection(host, timeout=20)
        link.request("GET", path, headers={"Connection": "close"})
        answer = link.getresponse()
        answer.read()
        status, version = answer.status, answer.headers.get("X-Version", "-")
        link.close()
    except (OSError, http.client.HTTPException):
        pass
    with lock:
        lines.write(f"{begun:.3f} {status} {version} {(time.time() - begun) * 1000:.1f}\n")
        lines.flush()


def main():
    parser = argparse.ArgumentParser(description="constant load, bounded")
    parser.add_argument("url")
    parser.add_argument("out")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    url, lock = urllib.parse.urlsplit(args.url), threading.Lock()
    with open(args.out, "w", encoding="utf-8") as lines, ThreadPoolExecutor(32) as crew:
        begun = time.monotonic()
        for number in range(args.rate * args.seconds):
            if stop.wait(max(0, begun + number / args.rate - time.monotonic())):
                break
            crew.submit(ask, url.netloc, url.path or "/", lines, lock)


if __name__ == "__main__":
    main()
