"""A Hugging Face Hub on the loopback address: enough of its API for the real clients, and faults on demand.

Repositories are lists of commits; large files are stored by SHA-256, as on the Hub. A `Fault` makes the next
matching requests fail: with a status, by dropping the connection, or after they have been carried out.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.fakes.hub_state import (
    ACCOUNTS,
    LARGE,
    LICENCES,
    MODELS,
    PAGE,
    SPACES,
    Files,
    Hub,
    Repository,
    digest_of,
)
from tests.fakes.hub_state import (
    READER as READER,
)
from tests.fakes.hub_state import (
    STRANGER as STRANGER,
)
from tests.fakes.hub_state import (
    WRITER as WRITER,
)


class _RefusalError(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: a second one would wait for the first's acknowledgement
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self) -> None:
        hub = self.server.hub
        body = self._body()
        line = f"{self.command} {unquote(self.path)}"
        with hub.lock:
            hub.requests.append(line)
            fault = hub.fault(line)
            try:
                if isinstance(fault, int):
                    raise _RefusalError(fault)
                if fault == "drop":
                    self.close_connection = True
                    return
                status, headers, content = self._route(body)
                if fault == "lose":
                    self.close_connection = True
                    return
            except _RefusalError as refusal:
                status, content = refusal.status, b"{}"
                headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _route(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/store/(\w+)", path):
            return self._stored(match[1], body)
        account = self._account()
        if path == "/api/whoami-v2":
            if account is None:
                raise _RefusalError(401)
            auth = {"accessToken": {"role": account["role"]}}
            return _json({"type": "user", "name": account["name"], "orgs": account["orgs"], "auth": auth})
        if path == "/api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        if path == "/api/repos/create":
            return self._create(json.loads(body), account)
        if match := re.fullmatch(r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._repository(_key(match[2], match[1]), account, write=True)
            return self._batch(json.loads(body))
        if match := re.fullmatch(r"/api/(datasets/|models/|spaces/)([^/]+/[^/]+)(?:/(.+))?", path):
            name = _key(match[2], match[1])
            return self._api(name, (match[3] or "revision/main").split("/", 2), body, account)
        if match := re.fullmatch(r"/(datasets/|spaces/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            name = _key(match[2], match[1])
            return self._resolve(*self._revision(name, match[3], account), match[4])
        raise _RefusalError(404)

    def _validate(self, card: str) -> tuple[int, dict[str, str], bytes]:
        header = yaml.safe_load(card.split("---")[1])
        if header.get("license", LICENCES[0]) in LICENCES:
            return _json({"errors": [], "warnings": []})
        error = {"message": f'"license" must be one of [{", ".join(LICENCES)}]'}
        return 400, {"Content-Type": "application/json"}, json.dumps({"errors": [error]}).encode()

    def _account(self) -> dict[str, Any] | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in ACCOUNTS:
            raise _RefusalError(401, message="Invalid credentials in Authorization header")
        return ACCOUNTS.get(token)

    def _may_write(self, name: str, account: dict[str, Any] | None) -> bool:
        if account is None or account["role"] != "write":
            return False
        orgs = [org["name"] for org in account["orgs"] if org["roleInOrg"] == "write"]
        return _bare(name).split("/")[0] in (account["name"], *orgs)

    def _repository(self, name: str, account: dict[str, Any] | None, *, write: bool = False) -> Repository:
        repository = self.server.hub.repositories.get(name)
        if repository is None or (repository.private and not self._may_write(name, account)):
            raise _RefusalError(404 if account else 401, "RepoNotFound")
        if write and not self._may_write(name, account):
            raise _RefusalError(403, message="forbidden")
        return repository

    def _revision(self, name: str, revision: str, account: dict[str, Any] | None) -> tuple[str, Files]:
        commit = self._repository(name, account).at(revision)
        if commit is None:
            raise _RefusalError(404, "RevisionNotFound")
        return commit

    def _create(
        self, wanted: dict[str, Any], account: dict[str, Any] | None
    ) -> tuple[int, dict[str, str], bytes]:
        name = f"{wanted.get('organization') or (account or {}).get('name')}/{wanted['name']}"
        if not self._may_write(name, account):
            raise _RefusalError(403, message="forbidden")
        prefix = {"dataset": "datasets/", "space": SPACES}.get(wanted.get("type"), "")
        answer = {"url": f"{self.server.hub.url}/{prefix}{name}", "name": name}
        name = _key(name, prefix)
        if name in self.server.hub.repositories:
            return 409, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.server.hub.add(name, {".gitattributes": b"*.parquet filter=lfs\n"}, private=private)
        return _json(answer)

    def _api(
        self, name: str, parts: list[str], body: bytes, account: dict[str, Any] | None
    ) -> tuple[int, dict[str, str], bytes]:
        endpoint, rest = parts[0], parts[1:]
        if endpoint == "auth-check":
            self._repository(name, account, write=rest == ["write"])
            return _json({})
        if endpoint in ("preupload", "commit"):
            is_proposal = "create_pr=1" in urlsplit(self.path).query
            repository = self._repository(name, account, write=not is_proposal)
            return (
                self._preupload(repository, body)
                if endpoint == "preupload"
                else self._commit(name, repository, body, is_proposal)
            )
        commit, files = self._revision(name, rest[0], account)
        if endpoint == "revision":
            siblings = [{"rfilename": path} for path in files]
            private = self.server.hub.repositories[name].private
            return _json(
                {
                    "id": _bare(name),
                    "sha": commit,
                    "private": private,
                    "siblings": siblings,
                    "tags": [],
                }
            )
        if endpoint == "tree":
            return self._tree(files, rest[1] if len(rest) > 1 else "")
        if endpoint == "paths-info":
            wanted = parse_qs(body.decode()).get("paths", [])
            return _json(
                [entry for path in wanted for entry in _entries(files, "", True) if entry["path"] == path]
            )
        raise _RefusalError(404)

    def _tree(self, files: Files, folder: str) -> tuple[int, dict[str, str], bytes]:
        query = parse_qs(urlsplit(self.path).query)
        entries = _entries(files, folder, query.get("recursive", [""])[0].lower() in ("1", "true"))
        if folder and not entries:
            raise _RefusalError(404, "EntryNotFound")
        start = int(query.get("cursor", ["0"])[0])
        status, headers, content = _json(entries[start : start + PAGE])
        if start + PAGE < len(entries):
            path = self.path.split("?")[0]
            rest = "&".join(f"{k}={v[0]}" for k, v in query.items() if k != "cursor")
            headers["Link"] = f'<{self.server.hub.url}{path}?{rest}&cursor={start + PAGE}>; rel="next"'
        return status, headers, content

    def _preupload(self, repository: Repository, body: bytes) -> tuple[int, dict[str, str], bytes]:
        answers = []
        for wanted in json.loads(body)["files"]:
            path = wanted["path"]
            large = path.endswith(LARGE)
            data = repository.files.get(path)
            oid = None if data is None else (digest_of(data) if large else _git_hash(data))
            mode = "lfs" if large else "regular"
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return _json({"files": answers})

    def _batch(self, wanted: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        objects = []
        for item in wanted["objects"]:
            if item["oid"] not in self.server.hub.store:
                item = item | {"actions": {"upload": {"href": f"{self.server.hub.url}/store/{item['oid']}"}}}
            objects.append(item)
        return _json({"transfer": "basic", "objects": objects})

    def _stored(self, sha256: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.command == "PUT":
            if digest_of(body) != sha256:
                raise _RefusalError(400)
            self.server.hub.store[sha256] = body
            return 200, {}, b""
        return self._content(self.server.hub.store[sha256], {})

    def _commit(
        self, name: str, repository: Repository, body: bytes, is_proposal: bool
    ) -> tuple[int, dict[str, str], bytes]:
        """Apply a commit as a whole or not at all; a proposal changes no branch."""
        files, header = dict(repository.files), {}
        for line in body.splitlines():
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            if kind == "header":
                header = value
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                if value["oid"] not in self.server.hub.store:
                    raise _RefusalError(400, message="large file was not uploaded")
                files[value["path"]] = self.server.hub.store[value["oid"]]
            elif files.pop(value["path"], None) is None:
                raise _RefusalError(404, "EntryNotFound", "A file with this name doesn't exist")
        if header.get("parentCommit") not in (None, repository.commits[-1][0]):
            raise _RefusalError(412)
        page = f"{self.server.hub.url}/{_folder(name)}{_bare(name)}"
        if is_proposal:
            repository.proposals.append(files)
            number = len(repository.proposals)
            return _json(
                {
                    "commitUrl": f"{page}/commit/{number:040x}",
                    "commitOid": f"{number:040x}",
                    "pullRequestUrl": f"{page}/discussions/{number}",
                }
            )
        commit = repository.commit(files)
        return _json({"commitUrl": f"{page}/commit/{commit}", "commitOid": commit})

    def _resolve(self, commit: str, files: Files, path: str) -> tuple[int, dict[str, str], bytes]:
        if path not in files:
            raise _RefusalError(404, "EntryNotFound")
        data = files[path]
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not path.endswith(LARGE):
            return self._content(data, headers | {"ETag": f'"{_git_hash(data)}"'})
        sha256 = digest_of(data)
        self.server.hub.store[sha256] = data
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(data))}
        location = {"Location": f"{self.server.hub.store_url}/store/{sha256}"}
        return 302, headers | linked | location | {"ETag": f'"{sha256}"'}, b""

    def _content(self, data: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
            headers = headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            return 206, headers, data[start : end + 1]
        return 200, headers, data


def _key(name: str, folder: str | None) -> str:
    """The key of a repository; a data set's is its bare name."""
    return name if folder == "datasets/" else f"{folder or MODELS}{name}"


def _bare(name: str) -> str:
    return name.removeprefix(MODELS).removeprefix(SPACES)


def _folder(name: str) -> str:
    """The URL prefix of a repository's pages."""
    return "" if name.startswith(MODELS) else SPACES if name.startswith(SPACES) else "datasets/"


def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _entries(files: Files, folder: str, recursive: bool) -> list[dict[str, Any]]:
    """List files and folders below `folder` as the Hub does."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, data in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            name = prefix + "/".join(parts[:depth])
            entries[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        if recursive or len(parts) == 1:
            entries[path] = {"type": "file", "path": path, "oid": _git_hash(data), "size": len(data)}
            if path.endswith(LARGE):
                entries[path]["lfs"] = {"oid": digest_of(data), "size": len(data), "pointerSize": 130}
    return list(entries.values())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        hub.url = f"http://127.0.0.1:{self.server_address[1]}"
        hub.store_url = f"http://localhost:{self.server_address[1]}"  # the Hub's store is another host too


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a hub while the block runs."""
    with _Server(Hub()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.hub
        finally:
            server.shutdown()
            thread.join()
