"""A real S3 server for the pods: moto's, on this machine, with keys that it checks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PLAIN = {"Content-Type": "text/plain"}
BUCKET, CLOSED, OUT = "sky-data", "sky-closed", "sky-out"
OBJECTS = {
    "hello.txt": b"hello from the bucket\n",
    "train/a.csv": b"1,2\n",
    "train/deep/er/b.csv": b"3,4\n",
    "train/with space.txt": b"5\n",
    "trained/no.csv": b"not below train/\n",
    "big.bin": os.urandom(3 << 20),
}
# what the owner of the keys may do: read one of the buckets, write to another, and make those called sky-new...
POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:List*", "s3:Get*"],
"Resource": ["arn:aws:s3:::%s", "arn:aws:s3:::%s/*", "arn:aws:s3:::sky-none"]},
{"Effect": "Allow", "Action": ["s3:List*", "s3:Get*", "s3:PutObject*", "s3:DeleteObject*"],
"Resource": ["arn:aws:s3:::sky-out", "arn:aws:s3:::sky-out/*"]},
{"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::sky-new*"]}]}"""


@dataclass(frozen=True)
class Server:
    url: str
    key: str
    secret: str

    @property
    def env(self) -> dict[str, str]:
        """What a user has set."""
        return {
            "AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
        }  # fmt: skip

    @property
    def client(self) -> Any:
        """With the user's keys."""
        import boto3

        return boto3.client(
            "s3", "us-east-1", endpoint_url=self.url, aws_access_key_id=self.key, aws_secret_access_key=self.secret
        )

    def written(self, bucket: str = OUT) -> dict[str, bytes]:
        """What is in a bucket."""
        s3 = self.client
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@contextmanager
def serve(address: str) -> Iterator[Server]:
    """At an address of this machine that pods reach."""
    with socket.socket() as found:
        found.bind((address, 0))
        port = found.getsockname()[1]
    argv = [sys.executable, "-c", "from moto.server import main; main()", "-H", address, "-p", str(port)]
    env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1000"}
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://{address}:{port}"
        _await(url, process)
        key, secret = _fill(url)
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", PLAIN), timeout=10).read()
        yield Server(url, key, secret)
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "moto's server does not start"
        try:
            urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).read()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("moto's server does not answer")


def _fill(url: str) -> tuple[str, str]:
    """Makes the buckets and a user who may read one of them; returns the keys."""
    import boto3

    def client(service: str) -> Any:
        return boto3.client(service, "us-east-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x")

    s3, iam = client("s3"), client("iam")
    for bucket in (BUCKET, CLOSED, OUT):
        s3.create_bucket(Bucket=bucket)
    for name, data in OBJECTS.items():
        s3.put_object(Bucket=BUCKET, Key=name, Body=data)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=POLICY % (BUCKET, BUCKET))
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]
