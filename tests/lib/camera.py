"""Cameras: Debian's motion behind Digest auth, and a small HTTP camera that misbehaves on demand."""
import http.server
import os
import threading
import time

import pictures
from httptools import Server
from processes import free_port, run

DEMO_CAMERA = os.path.join(os.path.dirname(__file__), "../../contrib/demo-camera")


class MotionCamera:
    """contrib/demo-camera: real JPEG over real Digest auth."""
    user = "admin"

    def __init__(self, directory):
        self.dir = str(directory)
        self.port = free_port()
        self.url = run([DEMO_CAMERA, "start", self.dir, self.port]).stdout.strip()
        self.password_file = os.path.join(self.dir, "password")

    def stop(self):
        run([DEMO_CAMERA, "stop", self.dir])


class FaultCamera:
    """A camera whose next answers a test chooses: set `behave`, read `requests`.

    behave: "ok", "hang", "html" (200 with a page), "truncated" (a JPEG cut short, length honest), "short" (connection
    closed before Content-Length bytes), "503" (Retry-After: `retry_after`), "401", "404", "empty", or a
    callable(handler).  A list is used up one answer at a time, then "ok"."""

    def __init__(self, delay=0.0):
        pictures.picture()            # the first one takes time to make
        self.behave, self.delay, self.retry_after = "ok", delay, 1
        self.requests = []            # (time, path, headers), guarded by lock
        self.served = []              # pictures handed out whole, guarded by lock
        self.running = self.peak = 0  # requests at one time, guarded by lock
        self.lock = threading.Lock()
        self.release = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with outer.lock:
                    outer.requests.append((time.monotonic(), self.path, dict(self.headers)))
                    outer.running += 1
                    outer.peak = max(outer.peak, outer.running)
                    behave = outer.behave
                    if isinstance(behave, list):
                        behave = behave.pop(0) if behave else "ok"
                try:
                    outer.answer(self, behave)
                finally:
                    with outer.lock:
                        outer.running -= 1

            def log_message(self, *args):
                pass

        self.server = Server(Handler)
        self.url = f"http://127.0.0.1:{self.server.port}/snapshot.jpg"

    def count(self):
        with self.lock:
            return len(self.requests)

    def reply(self, handler, status, body, kind="image/jpeg", length=None, **headers):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)
        if length is not None and length != len(body):
            handler.close_connection = True

    def answer(self, handler, behave):
        if callable(behave):
            behave(handler)
        elif behave == "hang":
            self.release.wait(120)
            handler.close_connection = True
        elif behave == "html":
            self.reply(handler, 200, b"<html><body>Please log in</body></html>", "text/html")
        elif behave in ("503", "401", "404"):
            more = {"Retry_After": self.retry_after} if behave == "503" else {}
            if behave == "401":
                more["WWW_Authenticate"] = 'Basic realm="camera"'
            self.reply(handler, int(behave), b"no", "text/plain", **more)
        elif behave == "empty":
            self.reply(handler, 200, b"")
        else:
            time.sleep(self.delay)
            with self.lock:
                data = pictures.picture(100000 + len(self.requests))
            if behave == "truncated":
                self.reply(handler, 200, data[:len(data) // 2])
            elif behave == "short":
                self.reply(handler, 200, data[:len(data) // 2], length=len(data))
            else:
                with self.lock:
                    self.served.append(data)
                self.reply(handler, 200, data)

    def stop(self):
        self.release.set()
        self.server.close()
