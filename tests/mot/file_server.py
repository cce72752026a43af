"""A file server on this machine that misbehaves as told: drops, ignored ranges, new versions."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """What is served and how; the tests change it between requests.

    `drops`: bytes of its body after which each of the next answers breaks off. `statuses`: codes
    that the next answers have instead. `seen`: Range header of every request so far.
    """

    content: bytes
    etag: str = '"one"'
    ranges: bool = True
    says_size: bool = True
    drops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    seen: list[str | None] = field(default_factory=list)


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """Serve on 127.0.0.1 and yield the address of the file."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            behaviour.seen.append(wanted)
            if behaviour.statuses:
                self.send_error(behaviour.statuses.pop(0))
                return
            body, total = behaviour.content, len(behaviour.content)
            found = re.fullmatch(r"bytes=(\d+)-", wanted or "")
            fresh = self.headers.get("If-Range", behaviour.etag) == behaviour.etag
            if found and behaviour.ranges and fresh:
                start = int(found[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                body = body[start:]
            else:
                self.send_response(200)
            if behaviour.says_size:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", behaviour.etag)
            self.end_headers()
            self.wfile.write(body[: behaviour.drops.pop(0)] if behaviour.drops else body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/set.zip"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
