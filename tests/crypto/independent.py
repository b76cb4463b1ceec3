#!/usr/bin/env python3
"""Opens what db4 sealed and seals what db4 opens, written from docs/formats/sealed.md alone with Python's `cryptography`.

    tests/crypto/independent.py PROGRAM     PROGRAM is build/release/bin/db4_crypto_exchange

Ends with 77 where python3-cryptography is not installed.
"""
import base64
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes, hmac
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
except ImportError:
    print("skipped: python3-cryptography is not installed")
    sys.exit(77)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
HEADER, TAG = 72, 16


class Refused(Exception):
    pass


def mac(key, data):
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(data)
    return made.finalize()


def extract(salt, secret):
    return mac(salt, secret)


def expand(key, info):
    return HKDFExpand(hashes.SHA256(), 32, info).derive(key)


def gcm_open(key, nonce, bound, sealed):
    try:
        return AESGCM(key).decrypt(nonce, sealed, bound)
    except InvalidTag as tag:
        raise Refused("tag") from tag


# -- sealed bytes --


def make_header(kind, detail, key_id, data_key, salt):
    base = extract(b"db4 sealed data key", data_key)
    start = b"DB4S" + bytes([1, 1, kind, detail]) + key_id + salt
    form = start[4:8] + salt
    return start + expand(base, b"db4 commitment" + form), expand(base, b"db4 sealed key" + form)


def record_key(header, data_key):
    again, key = make_header(header[6], header[7], header[8:16], data_key, header[16:40])
    if again != header:
        raise Refused("header")
    return key


def context(item):
    present, names = 1 | 8 | 16, [item["store_id"]]
    for bit, name in ((2, "collection"), (4, "id")):
        if item[name] is not None:
            present |= bit
            names.append(item[name])
    sized = b"".join(struct.pack("<I", len(name.encode())) + name.encode() for name in names)
    frame = b""
    if "frame" in item:
        present |= 32
        frame = struct.pack("<QB", *item["frame"])
    return bytes([present]) + sized + struct.pack("<QB", item["version"], item["codec"]) + frame


def padded_length(size):
    size += 1
    exponent = size.bit_length() - 1
    kept = exponent.bit_length()
    step = 1 << (exponent - kept) if exponent > kept else 1
    return max(256, (size + step - 1) // step * step)


def seal_message(item, key_id, data_key, plaintext, salt):
    header, key = make_header(1, int(item["padded"]), key_id, data_key, salt)
    if item["padded"]:
        plaintext = (plaintext + b"\x80").ljust(padded_length(len(plaintext)), b"\0")
    return header + AESGCM(key).encrypt(bytes(12), plaintext, header + context(item))


def open_message(item, data_key, sealed):
    header = sealed[:HEADER]
    plaintext = gcm_open(record_key(header, data_key), bytes(12), header + context(item), sealed[HEADER:])
    if header[7] == 0:
        return plaintext
    inner = plaintext.rstrip(b"\0")
    if not inner.endswith(b"\x80") or padded_length(len(inner) - 1) != len(plaintext):
        raise Refused("padding")
    return inner[:-1]


def stream_nonce(number, last):
    return bytes(7) + struct.pack(">I", number) + bytes([last])


def seal_stream(item, key_id, data_key, plaintext, salt, shift):
    header, key = make_header(2, shift, key_id, data_key, salt)
    size = 1 << shift
    pieces = [plaintext[at:at + size] for at in range(0, len(plaintext), size)] or [b""]
    sealed = [AESGCM(key).encrypt(stream_nonce(i, i + 1 == len(pieces)), piece, header + context(item))
              for i, piece in enumerate(pieces)]
    return header + b"".join(sealed)


def open_stream(item, data_key, sealed):
    header, body = sealed[:HEADER], sealed[HEADER:]
    key, size = record_key(header, data_key), (1 << header[7]) + TAG
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    opened = [gcm_open(key, stream_nonce(i, i + 1 == len(pieces)), header + context(item), piece)
              for i, piece in enumerate(pieces)]
    return b"".join(opened)


def open_any(item, data_key, sealed):
    return (open_stream if item["kind"] == "stream" else open_message)(item, data_key, sealed)


# -- a large document: docs/formats/large.md --


def record_fields(header):
    """The fields of a record's header, by type, and where what follows it begins."""
    magic, form, size = struct.unpack_from("<4sHH", header)
    assert (magic, form) == (b"DB4R", 1)
    fields, at = {}, 8
    while at < size - 4:
        kind, length, shift, at = header[at], 0, 0, at + 1
        while True:
            byte, at = header[at], at + 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        fields[kind], at = header[at:at + length], at + length
    return fields, size


def open_frames(store_id, data_keys, stored):
    """The content of a sealed record in frames; every frame is also made again."""
    outer, size = record_fields(stored)
    sealed_header = outer[16]
    item = {"store_id": store_id, "collection": None, "id": None, "version": 0, "codec": 0x20}
    inner, _ = record_fields(open_message(item, data_keys[sealed_header[8:16]], sealed_header))
    assert inner[13] == outer[13] and set(outer) == {13, 16}
    content_key, frame_bytes, length, version = inner[17], *(
        sum((byte & 127) << 7 * i for i, byte in enumerate(inner[kind])) for kind in (13, 9, 3))
    salt_key = expand(extract(b"db4 sealed data key", content_key), b"db4 frame salt")
    count = (length + frame_bytes - 1) // frame_bytes
    content, at = b"", size
    for number in range(count):
        last = number + 1 == count
        item = {"store_id": store_id, "collection": inner[1].decode(), "id": inner[2].decode(), "version": version,
                "codec": 0x29, "frame": (number, last), "padded": False}
        frame = stored[at:at + min(frame_bytes, length - len(content)) + HEADER + TAG]
        opened = open_message(item, content_key, frame)
        salt = mac(salt_key, struct.pack("<QB", number, last) + opened)[:24]
        assert seal_message(item, bytes(8), content_key, opened, salt) == frame, number
        content, at = content + opened, at + len(frame)
    assert at == len(stored) and len(content) == length
    return content


# -- the key ring --

KEY = struct.Struct("<8sBBqqqQ60s")


def ring_keys(master, ring_id):
    base = extract(ring_id, master)
    return [expand(base, b"db4 key ring " + use) for use in (b"wrap", b"authenticate", b"check")]


def open_ring(ring, master):
    """The data keys that may open, by id, and the active one's id."""
    magic, form, by, count, ring_id, _ = struct.unpack_from("<4sBBH16sQ", ring)
    assert (magic, form) == (b"DB4K", 1) and by in (1, 3)
    wrapping, authenticate, check = ring_keys(master, ring_id)
    if ring[56:88] != check or ring[-32:] != mac(authenticate, ring[:-32]):
        raise Refused("ring")
    first = 88 if by == 1 else 90 + struct.unpack_from("<H", ring, 88)[0]
    assert len(ring) == first + count * KEY.size + 32
    keys, active = {}, []
    for at in range(first, len(ring) - 32, KEY.size):
        key_id, state, _, _, _, _, _, wrapped = KEY.unpack_from(ring, at)
        if state in (1, 2):
            keys[key_id] = gcm_open(wrapping, wrapped[:12], b"db4 wrapped data key" + ring_id + key_id, wrapped[12:])
        if state == 1:
            active.append(key_id)
    assert len(active) == 1
    return keys, active[0]


def make_ring(master, keys):
    """`keys`: id, state, data key."""
    ring_id = os.urandom(16)
    wrapping, authenticate, check = ring_keys(master, ring_id)
    ring = struct.pack("<4sBBH16sQ", b"DB4K", 1, 1, len(keys), ring_id, 1) + bytes(24) + check
    for key_id, state, data_key in keys:
        nonce = os.urandom(12)
        wrapped = nonce + AESGCM(wrapping).encrypt(nonce, data_key, b"db4 wrapped data key" + ring_id + key_id)
        ring += KEY.pack(key_id, state, 0, 1_700_000_000_000_000, 4_000_000_000_000_000, 0, 0, wrapped)
    return ring + mac(authenticate, ring)


# -- what is compared --


def check_golden():
    data_key, key_id = bytes(range(32)), bytes.fromhex("a102030405060708")
    item = {"store_id": "store", "collection": "users", "id": "user-1", "version": 7, "codec": 2}
    text = b'{"name":"Ada","visits":[1,2,3]}'
    for name, padded in (("message", False), ("padded", True)):
        sealed = (GOLDEN / f"sealed_v1_{name}.bin").read_bytes()
        item["padded"] = padded
        assert open_message(item, data_key, sealed) == text, name
        assert seal_message(item, key_id, data_key, text, sealed[16:40]) == sealed, name
    sealed = (GOLDEN / "sealed_v1_stream.bin").read_bytes()
    text = bytes((i * 131 + (i >> 8)) & 255 for i in range(1500))
    assert open_stream(item, data_key, sealed) == text
    assert seal_stream(item, key_id, data_key, text, sealed[16:40], 10) == sealed
    for name in ("key_ring_v1_service", "key_ring_v1"):
        keys, active = open_ring((GOLDEN / f"{name}.bin").read_bytes(), bytes(range(100, 132)))
        assert len(keys) == 2 and active in keys
    # What the service would be asked to unwrap to those 32 bytes.
    assert (GOLDEN / "key_ring_v1_service.bin").read_bytes()[90:179] == b"vault:v1:" + b"A" * 80
    content = bytes((i * 131 + (i >> 8)) & 255 for i in range(2 * 4096 + 100))
    assert open_frames("store", keys, (GOLDEN / "sealed_frames_v1.bin").read_bytes()) == content


def items():
    """What is exchanged: lengths around every edge, and contexts of every form."""
    contexts = [("store", "users", "user-1", 7, 2), ("", "users", "user-1", 0, 0), ("s", None, "ü", 2**64 - 1, 255),
                ("s", "c", None, 1, 1), ("s", None, None, 1, 1), ("s" * 255, "c" * 255, "i" * 1024, 1, 1)]
    sizes = [0, 1, 31, 255, 256, 1024, 1025, 3000, 70000]
    kinds = [("message", False), ("message", True), ("stream", False)]
    for number, (size, (kind, padded)) in enumerate((size, kind) for size in sizes for kind in kinds):
        store_id, collection, name, version, codec = contexts[number % len(contexts)]
        yield {"file": f"{number}", "kind": kind, "padded": padded, "size": size, "store_id": store_id,
               "collection": collection, "id": name, "version": version, "codec": codec}


def write_folder(folder):
    master = os.urandom(32)
    keys = [(os.urandom(8), 2, os.urandom(32)), (os.urandom(8), 1, os.urandom(32))]
    (folder / "ring").write_bytes(make_ring(master, keys))
    (folder / "master").touch(mode=0o600)
    (folder / "master").write_bytes(base64.b64encode(master) + b"\n")
    listed = list(items())
    for number, item in enumerate(listed):
        key_id, _, data_key = keys[number % 2]
        plaintext, salt = os.urandom(item["size"]), os.urandom(24)
        sealed = (seal_stream(item, key_id, data_key, plaintext, salt, 10) if item["kind"] == "stream" else
                  seal_message(item, key_id, data_key, plaintext, salt))
        (folder / f"{item['file']}.plain").write_bytes(plaintext)
        (folder / f"{item['file']}.sealed").write_bytes(sealed)
    (folder / "items.json").write_text(json.dumps(listed))


def check_folder(folder):
    keys, _ = open_ring((folder / "ring").read_bytes(), base64.b64decode((folder / "master").read_text()))
    listed = json.loads((folder / "items.json").read_text())
    for item in listed:
        sealed = (folder / f"{item['file']}.sealed").read_bytes()
        plaintext = (folder / f"{item['file']}.plain").read_bytes()
        assert open_any(item, keys[sealed[8:16]], sealed) == plaintext, item
        try:
            open_any(item | {"version": item["version"] ^ 1}, keys[sealed[8:16]], sealed)
            raise AssertionError(f"another version opened: {item}")
        except Refused:
            pass
    return len(listed)


def main():
    program = sys.argv[1]
    check_golden()
    with tempfile.TemporaryDirectory() as parent:
        ours, theirs = pathlib.Path(parent) / "ours", pathlib.Path(parent) / "theirs"
        ours.mkdir()
        write_folder(ours)
        theirs.mkdir()
        (theirs / "items.json").write_text(json.dumps(list(items())))
        subprocess.run([program, "check", ours], check=True)
        subprocess.run([program, "seal", theirs], check=True)
        assert check_folder(theirs) == check_folder(ours) == 27
    print("db4 and the independent program open what the other sealed")


if __name__ == "__main__":
    main()
