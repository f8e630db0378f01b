"""A server with every kind of answer that a gate may meet. Prints its port. usage: server.py FOLDER [CERT KEY]

/file/NAME answers with the file NAME of the folder, so that a test changes answers by writing files: the first line is
the status, the rest the body. /asked answers which of them were asked for, and how; /count how many connections and
requests there were."""
import http.server
import json
import os
import ssl
import sys
import threading
import time

folder = sys.argv[1]
counts = {"connections": 0, "requests": 0}
asked = []
stop = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        counts["connections"] += 1
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        counts["requests"] += 1
        path = self.path
        if path == "/count":
            self.answer(200, json.dumps(counts).encode())
        elif path == "/asked":
            self.answer(200, "\n".join(asked).encode())
        elif path.startswith("/file/"):
            asked.append(path)
            try:
                name = path[6:].partition("?")[0]
                status, _, body = open(os.path.join(folder, name), "rb").read().partition(b"\n")
            except FileNotFoundError:
                status, body = b"404", b""
            self.answer(int(status), body, X_Version="v2", X_Load="7")
        elif path == "/redirect":
            self.answer(302, b"", Location="/count")
        elif path == "/token":
            is_known = self.headers.get("Authorization") == "Bearer hunter2-and-more"
            self.answer(200 if is_known else 401, b"{}")
        elif path == "/drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                while not stop.wait(1):
                    self.wfile.write(b"x")
                    self.wfile.flush()
            except OSError:
                pass
        elif path == "/drip-head":
            try:
                for byte in b"HTTP/1.1 200 OK\r\n" * 100:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if stop.wait(1):
                        break
            except OSError:
                pass
            self.close_connection = True
        elif path == "/huge":
            self.send_response(200)
            self.send_header("Content-Length", str(10 * 2**30))
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"{" * 65536)
            except OSError:
                pass
            self.close_connection = True
        elif path == "/silent":
            stop.wait(60)
            self.close_connection = True
        else:
            self.answer(200, b"ok")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
