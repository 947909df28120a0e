"""The state of the fake Hub: accounts, repositories as lists of commits, large files, and planned faults."""

import hashlib
import re
import threading
from dataclasses import dataclass, field

WRITER, READER, STRANGER = "hf_writer", "hf_reader", "hf_stranger"
ACCOUNTS = {
    WRITER: {"name": "ada", "orgs": [{"name": "lab", "roleInOrg": "write"}], "role": "write"},
    READER: {"name": "ada", "orgs": [], "role": "read"},
    STRANGER: {"name": "eve", "orgs": [{"name": "lab", "roleInOrg": "read"}], "role": "write"},
}
LARGE = (".parquet", ".png", ".mp4", ".npy", ".safetensors")
LICENCES = ("mit", "apache-2.0", "cc-by-4.0", "cc0-1.0", "other")
"""The licences that a card may name: a few of the Hub's."""
MODELS, SPACES = "models/", "spaces/"
PAGE = 3
"""Entries per page of a listing: few, so that every client must page."""

Files = dict[str, bytes]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Repository:
    """Commits, oldest first: an id and the files."""

    private: bool = False
    commits: list[tuple[str, Files]] = field(default_factory=list)
    proposals: list[Files] = field(default_factory=list)
    """The files after each pull request."""

    @property
    def files(self) -> Files:
        return self.commits[-1][1]

    def commit(self, files: Files) -> str:
        seed = f"{len(self.commits)} {sorted((path, digest_of(data)) for path, data in files.items())}"
        self.commits.append((hashlib.sha1(seed.encode()).hexdigest(), files))
        return self.commits[-1][0]

    def at(self, revision: str) -> tuple[str, Files] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)  # no abbreviated ids


@dataclass
class Fault:
    """The next `times` requests whose line matches `pattern` fail: with a status, "drop", or "lose"."""

    pattern: str
    how: int | str
    times: int = 1


@dataclass
class Hub:
    """The whole state, and the requests received."""

    url: str = ""
    store_url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    """Data sets by name, models by "models/" plus their name."""
    store: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, files: Files, *, private: bool = False) -> Repository:
        repository = self.repositories[name] = Repository(private=private)
        repository.commit(files)
        return repository

    def count(self, pattern: str) -> int:
        """The number of requests that matched `pattern`."""
        return sum(re.search(pattern, line) is not None for line in self.requests)

    def fault(self, line: str) -> int | str | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, line):
                fault.times -= 1
                return fault.how
        return None
