#!/usr/bin/env python3
"""Sends one request and prints its answer: s3_request.py ENDPOINT REGION ACCESS_KEY SECRET_KEY METHOD TARGET.

The target is a path, and a query with its names in order. With a signature of its own, so that no client needs to be
installed for it."""

import datetime
import hashlib
import hmac
import sys
import urllib.error
import urllib.parse
import urllib.request


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def main():
    endpoint, region, access_key, secret_key, method, target = sys.argv[1:]
    host = urllib.parse.urlsplit(endpoint).netloc
    path, _, query = target.partition("?")
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": date}
    names = ";".join(sorted(headers))
    parameters = "&".join(part if "=" in part else part + "=" for part in query.split("&") if part)
    canonical = "\n".join(
        [method, path, parameters] + [f"{name}:{headers[name]}" for name in sorted(headers)] + ["", names, payload]
    )
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = sign(key, part)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    request = urllib.request.Request(endpoint + target, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            print(response.read().decode())
    except urllib.error.HTTPError as error:
        sys.exit(f"s3_request.py: {error}: {error.read().decode(errors='replace')}")


main()
