"""Every provider that connectors talk to, on loopback: real HTTP, real signatures, errors on request.

Prints one line of JSON, `{"control": {"url": …}, "binance": {"url": …, "credentials": {"hmac": {…}}}, …}`, and serves
until it is ended, or with --stdin until its input is. The control:

    POST /scenario              {"provider": "binance", "scenario": …, "path": …, "times": …, "on": …} and its options
    POST /reset                 {"provider": "binance"}, or all without a body
    GET /calls?provider=binance
    GET /errors?provider=binance

Scenarios take effect once the signature of a request has been verified:

    error           "code" of the provider's list; "message", "status", "headers" differ from it
    permissions     "merge" into the payload of the success, within its envelope, where null removes a member and a list
                    is merged into its last entry; "headers" added
    skew            "seconds" that the provider's clock is ahead
    answer          "status", "body", "headers" as given
    status          "status", "text", "headers"
    redirect        to the trap, "status" 302 or as given
    slow            answers after 60 "seconds"
    drip            a byte each 1 "seconds"
    huge            10 MiB, or "bytes"; with "length": false it is not told before
    garbage, empty, close

Each holds for one "path" or all, for requests that are "on": "signed" (the default), "public" or "all", and for a number
of "times" or until the next one or the reset.
"""

import argparse
import json
import sys
import threading

from alpaca import Alpaca
from base import Provider
from binance import Binance
from bitget import Bitget
from bybit import Bybit
from coinbase import Coinbase
from gate import Gate
from generic_bearer import GenericBearer
from generic_hmac import GenericHmac
from github import GitHub
from kraken import Kraken
from kucoin import Kucoin
from okx import Okx
from openai import OpenAi
from server import serve
from stripe import Stripe

ALL: list[type[Provider]] = [
    Binance, Coinbase, Kraken, Bybit, Okx, Kucoin, Bitget, Gate, Alpaca, Stripe, OpenAi, GitHub, GenericBearer,
    GenericHmac,
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves stubs of the providers.")
    parser.add_argument("--port", type=int, default=0, help="of the control; the others follow it; 0 finds free ones")
    parser.add_argument("--stdin", action="store_true", help="end when the standard input does")
    options = parser.parse_args()
    print(json.dumps(serve([provider() for provider in ALL], options.port)), flush=True)
    if options.stdin:
        sys.stdin.read()
    else:
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
