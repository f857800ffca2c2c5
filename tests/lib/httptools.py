"""What the small HTTP servers of the tests share: a threaded loopback server that stops for good."""
import http.server
import socket
import threading


class Server(http.server.ThreadingHTTPServer):
    """Serves on a free loopback port from construction until close(), which also cuts open connections."""
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, handler, port=0):
        self._open, self._lock = set(), threading.Lock()
        super().__init__(("127.0.0.1", port), handler)
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def process_request(self, request, client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a body waits 40 ms for its head's acknowledgment
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A peer that goes away is what many tests are about."""

    def cut(self):
        """Resets every connection that is open now."""
        with self._lock:
            peers = list(self._open)
        for s in peers:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.shutdown()
        self.server_close()
        self.cut()
