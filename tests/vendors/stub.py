"""Every vendor of identity checks, on loopback: real HTTP, real signatures, webhooks to order.

Prints one line of JSON, `{"control": {"url": …}, "sumsub": {"url": …, "settings": {"api_key": …}, "statuses": […]}, …}`,
where settings are those of a server that is the vendor's client, and serves until it is ended, or with --stdin until its
input is. The control:

    POST /webhook               {"vendor": "persona", "reference": "inq_…", "status": "approved"} and its options; answers
                                {"headers": {…}, "body_base64": …}
    POST /state                 {"vendor": "persona", "reference": "inq_…", "status": "approved", "reasons": […]}
    POST /scenario              {"vendor": "persona", "scenario": …}, as in ../providers/stub.py
    POST /reset                 {"vendor": "persona"}, or all without a body; sessions stay
    GET /calls?vendor=persona
    GET /errors?vendor=persona

A status is pending, in_review, approved, declined, resubmission or expired, where it is among the vendor's statuses. Of
any webhook one may say

    at              when it is sent, in Unix seconds
    secret          what it is signed with, in place of the configured one
    reasons         the vendor's codes for why
    external_id     our id, where it is to be another than the session's
    merge           into the payload before it is signed, where null removes a member

and where the vendor has it

    event_id        sumsub (its correlationId), persona, stripe_identity, didit, standard_webhooks
    sandbox         true for an event of the sandbox: sumsub, stripe_identity, didit
    rotation        all the secrets it is signed with: persona, stripe_identity, standard_webhooks
    algorithm       sha256, sha512 or sha1: sumsub
    test            true for an event that its console sends: didit

A webhook does not change what the API says, nor does the state send one.
"""

import argparse
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "providers"))

from base import Request, b64  # noqa: E402
from didit import Didit  # noqa: E402
from jumio import Jumio  # noqa: E402
from onfido import Onfido  # noqa: E402
from persona import Persona  # noqa: E402
from server import ControlHandler, Misuse, serve  # noqa: E402
from standard_webhooks import StandardWebhooks  # noqa: E402
from stripe_identity import StripeIdentity  # noqa: E402
from sumsub import Sumsub  # noqa: E402
from vendor import Vendor  # noqa: E402
from veriff import Veriff  # noqa: E402

ALL: list[Callable[[], Vendor]] = [Sumsub, Persona, Onfido, Veriff, StripeIdentity, Didit, Jumio, StandardWebhooks]


class Control(ControlHandler):
    noun = "vendor"

    def result(self, request: Request) -> Any:
        match request.method, request.path:
            case "POST", "/webhook":
                order = json.loads(request.body)
                headers, body = self.vendor(order).webhook(order)
                return {"headers": headers, "body_base64": b64(body)}
            case "POST", "/state":
                order = json.loads(request.body)
                self.vendor(order).tell(order)
                return {}
            case _:
                return super().result(request)

    def vendor(self, order: dict[str, Any]) -> Vendor:
        vendor = self.one(order["vendor"]).provider
        if not isinstance(vendor, Vendor):
            raise Misuse("it is only looked at")
        return vendor


def start(port: int = 0) -> dict[str, Any]:
    return serve([vendor() for vendor in ALL], port, Control)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves stubs of the vendors of identity checks.")
    parser.add_argument("--port", type=int, default=0, help="of the control; the others follow it; 0 finds free ones")
    parser.add_argument("--stdin", action="store_true", help="end when the standard input does")
    options = parser.parse_args()
    print(json.dumps(start(options.port)), flush=True)
    if options.stdin:
        sys.stdin.read()
    else:
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
