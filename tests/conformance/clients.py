"""Clients generated from openapi.yaml, and the journey that each takes: a folder below tests/clients for each language.

The folder is copied to target/clients, and the document laid beside it. There the language's line of docs/clients.md generates
the client, as a team would do it, and the usual tools build the journey with it. Nothing that is generated is touched.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = Path(sys.executable).parent
WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "clients"
# So many lines of a failed command are shown.
LINES = 60


class ClientError(Exception):
    """What the tools say of a client that does not come about, or does not arrive."""


@dataclass(frozen=True)
class Language:
    title: str
    prepare: str
    build: str
    run: str

    @property
    def name(self) -> str:
        return self.title.lower()

    @property
    def folder(self) -> Path:
        return WORK / self.name

    def generate(self) -> None:
        shutil.copytree(ROOT / "tests" / "clients" / self.name, self.folder, dirs_exist_ok=True)
        shutil.copy2(ROOT / "openapi.yaml", self.folder)
        # What an older document gave must not be compiled with the new.
        for client in ("client", "latchkey_client"):
            shutil.rmtree(self.folder / client, ignore_errors=True)
        self._sh(self.prepare)
        self._sh(documented(self.title))

    def compile(self) -> None:
        self._sh(self.build)

    def journey(self, *arguments: str) -> None:
        print(self._sh(f'{self.run} "$@"', *arguments), end="")

    def _sh(self, command: str, *arguments: str) -> str:
        environment = os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "DO_NOT_TRACK": "1"}
        done = subprocess.run(
            ["sh", "-euc", command, "sh", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-LINES:])
            raise ClientError(f"{tail}\n`{command}` exited with {done.returncode}")
        return done.stdout


def documented(title: str) -> str:
    """The command of the language's line in docs/clients.md."""
    found = re.search(rf"^\| {title} \|.*\| `([^`]+)` \|$", (ROOT / "docs" / "clients.md").read_text(), re.MULTILINE)
    if not found:
        raise ClientError(f"docs/clients.md has no line for {title} that ends with its command")
    return found[1]


LANGUAGES = [
    Language("TypeScript", "npm ci --loglevel=error", "npx tsc", "node dist/journey.js"),
    Language("Python", ":", "python -m compileall -q latchkey_client journey.py", "python journey.py"),
    Language("Go", ":", "go build -o journey .", "./journey"),
    Language("Rust", ":", "cargo build --locked --quiet --target-dir target", "target/debug/journey"),
    Language(
        "Java",
        ":",
        "mvn --quiet --batch-mode compile dependency:copy-dependencies",
        "java -cp 'target/classes:target/dependency/*' journey.Journey",
    ),
]
