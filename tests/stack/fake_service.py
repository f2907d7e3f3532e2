"""A program that a stack can run in place of a service: ready at once, tells everybody its environment."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"environment": dict(os.environ), "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
        """Silent."""


def serve() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for setting in ("GRPC_ADDRESS", "RUN_ADDRESS", "METRICS_ADDRESS"):
        if setting in os.environ:
            host, _, port = os.environ[setting].rpartition(":")
            threading.Thread(target=ThreadingHTTPServer((host, int(port)), Handler).serve_forever, daemon=True).start()
    print("serving", flush=True)
    while True:
        signal.pause()


def migrate() -> None:
    with psycopg.connect(os.environ["DATABASE_URI"]) as connection:
        connection.execute("create table if not exists starts (at timestamptz default now())")
        connection.execute("insert into starts default values")


if __name__ == "__main__":
    {"serve": serve, "migrate": migrate}[sys.argv[1]]()
