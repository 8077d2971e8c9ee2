"""Compares openapi.yaml with the document of the last release: a change that breaks a client of that is refused, unless it is
in tests/contract/accepted.txt.

tests/contract/severity.txt says where we differ from oasdiff: lists of values in answers may grow, as clients are told, and
a member of an answer stays although it was optional.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from clients import ROOT, TOOLS, WORK

CONTRACT = ROOT / "tests" / "contract"
RELEASED, ACCEPTED = CONTRACT / "released.yaml", CONTRACT / "accepted.txt"
REFUSED = WORK.parent / "refused.txt"
# So many lines are shown; all are in the file.
LINES = 40


class Broken(Exception):
    """What breaks which clients, and what to do about it."""


def compatible() -> None:
    text = (ROOT / "openapi.yaml").read_text()
    if refused := breaks(text):
        REFUSED.write_text("".join(f"{line}\n" for line in refused))
        raise Broken("\n".join([
            *refused[:LINES],
            f"openapi.yaml breaks clients of the released document: {len(refused)} changes, listed in {REFUSED}.",
            f"If that is intended: cat {REFUSED} >> {ACCEPTED}, and a line in CHANGELOG.md.",
        ]))  # fmt: skip
    # Examples have dates, which JSON has not.
    the_check_itself(json.dumps(yaml.safe_load(text), default=str))


def breaks(text: str, accepted: Path = ACCEPTED) -> list[str]:
    """A line for each change that would break a client."""
    command = ["go", "tool", "oasdiff", "breaking", "--format=singleline", "--color=never", "--fail-on=WARN"]
    command += ["--severity-levels=severity.txt", f"--err-ignore={accepted}", f"--warn-ignore={accepted}"]
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, RELEASED.name, "-"],
        cwd=CONTRACT,
        env=os.environ | {"PATH": path},
        input=text,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("error", "warning"))]
    if bool(done.returncode) != bool(lines):
        raise Broken(f"oasdiff exited with {done.returncode}: {done.stdout}{done.stderr}")
    return lines


def the_check_itself(text: str) -> None:
    """Breaks a copy in every way that matters, and changes another so that no client minds."""
    for name, change in {
        "an operation removed": lambda it: it["paths"].pop("/auth/mfa"),
        "a method removed": lambda it: it["paths"]["/auth/profile"].pop("patch"),
        "a member of an answer removed": lambda it: member(it, "Problem").pop("resend_url"),
        "a member of a request removed": lambda it: member(it, "ProfileUpdate").pop("phone"),
        "a member of a request required": lambda it: schema(it, "NewApiKey")["required"].append("provider"),
        "a parameter required": lambda it: it["paths"]["/auth/sessions"]["get"]["parameters"][0].update(required=True),
        "another type": lambda it: member(it, "AuthSession")["expires_at"].update(type="string"),
        "a value of a request removed": lambda it: schema(it, "CodeMethod")["enum"].pop(),
    }.items():
        refused = breaks(changed(text, change))
        if not refused:
            raise Broken(f"the check lets through: {name}")
        print(f"refused: {name} ({len(refused)})")

    accepted = WORK.parent / "accepted.txt"
    accepted.write_text(ACCEPTED.read_text() + "\n".join(refused))
    if breaks(changed(text, change), accepted):
        raise Broken(f"the check refuses what was accepted: {name}")
    print("let through: what was accepted")

    def grow(it: dict) -> None:
        member(it, "Problem")["hint"] = member(it, "ProfileUpdate")["nickname"] = {"type": "string"}
        schema(it, "ErrorCode")["enum"].append("new_code")
        it["paths"]["/auth/news"] = {"get": it["paths"]["/auth/mfa"]["get"] | {"operationId": "news_get"}}

    if refused := breaks(changed(text, grow)):
        raise Broken("\n".join(["the check refuses what breaks no client:", *refused[:LINES]]))
    print("let through: more members, more values in answers, another operation")


def changed(text: str, change: Callable[[dict], object]) -> str:
    document = json.loads(text)
    change(document)
    return json.dumps(document)


def schema(document: dict, name: str) -> dict:
    return document["components"]["schemas"][name]


def member(document: dict, name: str) -> dict:
    return schema(document, name)["properties"]
