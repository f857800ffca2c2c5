"""A loopback proxy before the S3 server: records each request, and on demand holds, cuts or answers some itself.

The Host header passes unchanged, so request signatures stay valid."""
import dataclasses
import http.client
import http.server
import threading
import time
import urllib.parse

from httptools import Server

HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "expect"}


@dataclasses.dataclass
class Request:
    method: str
    key: str           # decoded path without the bucket; "" for requests on the bucket
    bucket: str
    query: str
    headers: dict
    when: float
    status: int = 0    # 0: never answered
    sent: int = 0      # bytes of the answer's body


class Rule:
    """What to do with requests that match: "hang", "close", "cut" (answer cut in the middle), "corrupt" (a byte of
    the answer's body turned), "slow" (wait `seconds` first) or an int status (answered here, `headers`, `body`).
    `times` requests, then the rule is used up (None: until removed)."""

    def __init__(self, do, method=None, key=None, times=None, seconds=0.0, headers=None, body=b"", after=False):
        self.do, self.method, self.key, self.times = do, method, key, times
        self.seconds, self.headers, self.body, self.after = seconds, headers or {}, body, after
        self.hits = 0

    def takes(self, request):
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method and request.method != self.method:
            return False
        if callable(self.key):
            return self.key(request.key)
        return self.key is None or self.key in request.key


class CountingProxy:
    def __init__(self, upstream_port, port=0):
        self.requests, self.rules, self.lock = [], [], threading.Lock()
        self.release = threading.Event()
        self.running = self.peak = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            upstream = None

            def handle_expect_100(self):
                return super().handle_expect_100()

            def log_message(self, *args):
                pass

            def do_any(self):
                with outer.lock:
                    outer.running += 1
                    outer.peak = max(outer.peak, outer.running)
                try:
                    outer.forward(self, upstream_port)
                finally:
                    with outer.lock:
                        outer.running -= 1

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any

            def finish(self):
                if self.upstream:
                    self.upstream.close()
                super().finish()

        self.server = Server(Handler, port)
        self.port = self.server.port

    # -- what a test asks

    def seen(self, method=None, key=None, **attributes):
        """Requests so far; `key` matches as a substring, "" being requests on the bucket itself."""
        with self.lock:
            found = list(self.requests)
        return [r for r in found
                if (method is None or r.method == method)
                and (key is None or (r.key == "" if key == "" else key in r.key))
                and all(getattr(r, n) == v for n, v in attributes.items())]

    def gets(self):
        """GETs of objects (not listings)."""
        return [r for r in self.seen("GET") if r.key]

    def puts(self):
        return [r for r in self.seen("PUT") if r.key]

    def forget(self):
        with self.lock:
            self.requests.clear()
            self.peak = self.running

    def add(self, do, **kw):
        rule = Rule(do, **kw)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear_rules(self):
        """Removes all rules and lets held requests go (they are closed)."""
        with self.lock:
            self.rules.clear()
            self.release.set()
            self.release = threading.Event()

    def stop(self):
        self.clear_rules()
        self.server.close()

    # -- the work

    def forward(self, handler, upstream_port):
        url = urllib.parse.urlsplit(handler.path)
        bucket, _, key = url.path.lstrip("/").partition("/")
        request = Request(handler.command, urllib.parse.unquote(key), urllib.parse.unquote(bucket), url.query,
                          dict(handler.headers), time.monotonic())
        with self.lock:
            self.requests.append(request)
            rule = next((r for r in self.rules if r.takes(request)), None)
            if rule:
                rule.hits += 1
            release = self.release
        if "chunked" in handler.headers.get("Transfer-Encoding", ""):
            body = self.read_chunked(handler.rfile)
        else:
            length = int(handler.headers.get("Content-Length") or 0)
            body = handler.rfile.read(length)
            if len(body) < length:  # its sender is gone
                handler.close_connection = True
                return
        if rule and rule.do == "slow":
            release.wait(rule.seconds)
        elif rule and not rule.after and rule.do in ("hang", "close"):
            if rule.do == "hang":
                release.wait(120)
            handler.close_connection = True
            return
        elif rule and isinstance(rule.do, int) and not rule.after:
            self.answer(handler, request, rule.do, list(rule.headers.items()), rule.body)
            return
        status, headers, answer = self.ask(handler, upstream_port, body)
        if rule and rule.after:
            if isinstance(rule.do, int):
                self.answer(handler, request, rule.do, list(rule.headers.items()), rule.body)
            handler.close_connection = True
            return
        if rule and rule.do == "corrupt" and answer:
            middle = len(answer) // 2
            answer = answer[:middle] + bytes([answer[middle] ^ 0x55]) + answer[middle + 1:]
        self.answer(handler, request, status, headers, answer, cut=bool(rule and rule.do == "cut"))

    @staticmethod
    def read_chunked(stream):
        body = b""
        while True:
            size = int(stream.readline().split(b";")[0] or b"0", 16)
            if not size:
                while stream.readline().strip():
                    pass
                return body
            body += stream.read(size)
            stream.readline()

    @staticmethod
    def ask(handler, port, body):
        headers = [(n, v) for n, v in handler.headers.items() if n.lower() not in HOP and n.lower() != "content-length"]
        for again in (True, False):
            if handler.upstream is None:
                handler.upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            up = handler.upstream
            try:
                up.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers:
                    up.putheader(name, value)
                if body or handler.command in ("PUT", "POST"):
                    up.putheader("Content-Length", str(len(body)))
                up.endheaders(body or None)
                got = up.getresponse()
                return got.status, got.getheaders(), got.read()
            except (OSError, http.client.HTTPException):
                # the server may have closed a kept-alive connection meanwhile
                up.close()
                handler.upstream = None
                if not again:
                    raise

    def answer(self, handler, request, status, headers, body, cut=False):
        head = handler.command == "HEAD"
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP and (head or name.lower() != "content-length"):
                handler.send_header(name, value)
        if not head and status not in (204, 304):
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        sent = b"" if head else body[:len(body) // 2] if cut else body
        handler.wfile.write(sent)
        handler.wfile.flush()
        if cut:
            handler.close_connection = True
        with self.lock:
            request.status, request.sent = status, len(sent)
