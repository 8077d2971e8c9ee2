"""What the document says in words only, told to Schemathesis."""

from pathlib import Path

import schemathesis

COMMON = Path(__file__).resolve().parents[2] / "src/crypto/password/common.txt"
common_passwords = frozenset(COMMON.read_text().splitlines())
# RFC 2606 and others: names that lead to no mailbox.
special_use_domains = (".arpa", ".invalid", ".local", ".localhost", ".onion", ".test")


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Skips requests that break a rule which no schema can express, so that accepting all others can be demanded."""
    given = (case.body if isinstance(case.body, dict) else {}) | (case.query if isinstance(case.query, dict) else {})
    values = {name: value.lower() for name, value in given.items() if isinstance(value, str)}
    email, chosen = values.get("email", ""), values.get("new_password", values.get("password"))
    return (
        chosen not in common_passwords
        and chosen not in {"latchkey", email, email.rpartition("@")[0]}
        and not email.endswith(special_use_domains)
    )
