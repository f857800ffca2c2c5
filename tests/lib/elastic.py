"""An Elasticsearch index in memory, as far as documents go: _bulk, _search with a point in time and search_after, _mget, refresh.

What it answers is checked by the official JavaScript client in test_elastic.py.  It keeps a log of requests, wants credentials
when it is given some, and can be told to fail."""
import base64
import http.server
import json
import threading
import urllib.parse

from httptools import Server

JSON = "application/json"


class Index:
    def __init__(self):
        self.docs, self.order = {}, []

    def create(self, doc_id, source):
        if doc_id in self.docs:
            return False
        self.docs[doc_id] = source
        self.order.append(doc_id)
        return True


class Elastic:
    """`auth`: the Authorization header that is wanted; None: anybody may.  `strict`: fields that documents may have."""

    def __init__(self, auth=None, strict=None, limit=10000):
        self.indices, self.pits, self.log, self.faults = {}, {}, [], []
        self.auth, self.strict, self.limit = auth, strict, limit
        self.lock = threading.Lock()
        elastic = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else self.chunks()
                path, _, query = self.path.partition("?")
                with elastic.lock:
                    status, answer = elastic.answer(self.command, path, urllib.parse.parse_qs(query), body, self.headers)
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                accept = self.headers.get("Accept") or JSON
                kind = accept.split(",")[0] if "vnd.elasticsearch+json" in accept else JSON
                self.send_header("Content-Type", kind)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="security"')
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def chunks(self):
                body = b""
                if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                    while True:
                        n = int(self.rfile.readline().split(b";")[0], 16)
                        body += self.rfile.read(n)
                        self.rfile.readline()
                        if n == 0:
                            break
                return body

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve

        self.server = Server(Handler)
        self.url = f"http://127.0.0.1:{self.server.port}"

    def close(self):
        self.server.close()

    # -- for tests

    def index(self, name):
        return self.indices.setdefault(name, Index())

    def fail(self, status, times=1):
        """The next requests are answered so."""
        self.faults += [status] * times

    def requests(self, part):
        return [r for r in self.log if part in r[1]]

    # -- requests

    def answer(self, method, path, query, body, headers):
        self.log.append((method, path, len(body)))
        if self.auth and headers.get("Authorization") != self.auth:
            return self.error(401, "security_exception", "missing authentication credentials")
        if self.faults:
            return self.error(self.faults.pop(0), "es_rejected_execution_exception", "told to fail")
        parts = [urllib.parse.unquote(p) for p in path.strip("/").split("/") if p]
        if not parts:
            return 200, {"name": "fixture", "cluster_name": "fixture", "tagline": "You Know, for Search",
                         "version": {"number": "8.15.0", "build_flavor": "default"}}
        if parts == ["_search"]:
            return self.search_pit(json.loads(body))
        if parts == ["_pit"] and method == "DELETE":
            found = self.pits.pop(json.loads(body)["id"], None) is not None
            return (200 if found else 404), {"succeeded": found, "num_freed": int(found)}
        if parts[0] == "_bulk" or parts[1:] == ["_bulk"]:
            return self.bulk(body, parts[0] if parts[0] != "_bulk" else None)
        name, rest = parts[0], parts[1:]
        if method == "PUT" and not rest:
            self.index(name)
            return 200, {"acknowledged": True, "index": name}
        if rest[:1] == ["_create"] or rest[:1] == ["_doc"] and method in ("PUT", "POST"):
            return self.put(name, rest, json.loads(body))
        if name not in self.indices:
            return self.error(404, "index_not_found_exception", f"no such index [{name}]")
        return self.on_index(name, rest, query, body, method)

    def on_index(self, name, rest, query, body, method):
        index = self.indices[name]
        if rest == ["_pit"]:
            pit = base64.b64encode(f"{name}:{len(self.pits)}:{len(self.log)}".encode()).decode()
            self.pits[pit] = [(i, index.docs[i]) for i in index.order]
            return 200, {"id": pit}
        if rest == ["_refresh"]:
            return 200, {"_shards": {"total": 1, "successful": 1, "failed": 0}}
        if rest == ["_count"]:
            return 200, {"count": len(index.docs), "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}}
        if rest == ["_mget"]:
            wanted = json.loads(body)
            ids = wanted.get("ids") or [d["_id"] for d in wanted["docs"]]
            return 200, {"docs": [self.document(name, i) for i in ids]}
        if rest[:1] == ["_doc"] and method == "GET":
            found = self.document(name, rest[1])
            return (200 if found["found"] else 404), found
        if rest == ["_search"]:
            return self.search(index, name, json.loads(body or b"{}"))
        return self.error(400, "illegal_argument_exception", f"{method} {rest} is not known here")

    @staticmethod
    def error(status, kind, reason):
        return status, {"error": {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason},
                        "status": status}

    def document(self, name, doc_id):
        docs = self.indices[name].docs
        found = doc_id in docs
        return {"_index": name, "_id": doc_id, "found": found,
                **({"_source": docs[doc_id], "_version": 1, "_seq_no": 0, "_primary_term": 1} if found else {})}

    def put(self, name, rest, source):
        index = self.index(name)
        if not index.create(rest[1], source):
            if rest[0] == "_create":
                return self.error(409, "version_conflict_engine_exception", f"[{rest[1]}]: document already exists")
            index.docs[rest[1]] = source
            return 200, {"_index": name, "_id": rest[1], "result": "updated", "_version": 2}
        return 201, {"_index": name, "_id": rest[1], "result": "created", "_version": 1, "_seq_no": 0, "_primary_term": 1,
                     "_shards": {"total": 1, "successful": 1, "failed": 0}}

    def bulk(self, body, default):
        items, errors, lines = [], False, body.decode().split("\n")
        if lines.pop() != "":
            return self.error(400, "illegal_argument_exception",
                              "The bulk request must be terminated by a newline [\\n]")
        while lines:
            action, meta = next(iter(json.loads(lines.pop(0)).items()))
            source, name = json.loads(lines.pop(0)), meta.get("_index", default)
            item = {"_index": name, "_id": meta.get("_id")}
            unknown = self.strict and set(source) - set(self.strict)
            if unknown:
                item.update(status=400, error={"type": "strict_dynamic_mapping_exception",
                                               "reason": f"introduction of [{sorted(unknown)[0]}] is not allowed"})
            elif self.index(name).create(meta["_id"], source):
                item.update(status=201, result="created", _version=1, _seq_no=0, _primary_term=1,
                            _shards={"total": 1, "successful": 1, "failed": 0})
            elif action == "create":
                item.update(status=409, error={"type": "version_conflict_engine_exception",
                                               "reason": f"[{meta['_id']}]: document already exists"})
            else:
                self.index(name).docs[meta["_id"]] = source
                item.update(status=200, result="updated", _version=2)
            errors = errors or item["status"] >= 400
            items.append({action: item})
        return 200, {"took": 1, "errors": errors, "items": items}

    def search(self, index, name, body):
        size = body.get("size", 10)
        if size + body.get("from", 0) > self.limit:
            return self.error(400, "illegal_argument_exception", "Result window is too large")
        hits = [{"_index": name, "_id": i, "_score": 1.0, "_source": index.docs[i]} for i in index.order[:size]]
        return 200, {"took": 1, "timed_out": False, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
                     "hits": {"total": {"value": len(index.docs), "relation": "eq"}, "max_score": 1.0, "hits": hits}}

    def search_pit(self, body):
        pit = body["pit"]["id"]
        if pit not in self.pits:
            return self.error(404, "search_context_missing_exception", "No search context found")
        if body.get("size", 10) > self.limit:
            return self.error(400, "illegal_argument_exception", "Result window is too large")
        docs, first = self.pits[pit], body["search_after"][0] + 1 if "search_after" in body else 0
        hits = []
        for n in range(first, min(first + body.get("size", 10), len(docs))):
            hits.append({"_index": "x", "_id": docs[n][0], "_score": None, "sort": [n],
                         **({} if body.get("_source") is False else {"_source": docs[n][1]})})
        return 200, {"pit_id": pit, "took": 1, "timed_out": False, "hits": {"max_score": None, "hits": hits}}
