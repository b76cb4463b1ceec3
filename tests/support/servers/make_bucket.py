#!/usr/bin/env python3
"""Makes a bucket: make_bucket.py ENDPOINT REGION BUCKET ACCESS_KEY SECRET_KEY.

With a signature of its own, so that no client needs to be installed for it."""

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
    endpoint, region, bucket, access_key, secret_key = sys.argv[1:]
    host = urllib.parse.urlsplit(endpoint).netloc
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": date}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["PUT", f"/{bucket}", ""] + [f"{name}:{headers[name]}" for name in sorted(headers)] + ["", names, payload]
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
    request = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT", headers=headers)
    try:
        urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        sys.exit(f"make_bucket.py: {error}: {error.read().decode(errors='replace')}")


main()
