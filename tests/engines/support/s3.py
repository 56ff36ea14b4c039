"""A real S3 server with a token service that enforces session policies: Ceph's RADOS gateway, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.locking import locked
from support.ports import free_ports
from support.server import REPOSITORY

SCRIPT = REPOSITORY / "tests/servers/s3-with-sts.sh"
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
PACKAGES = "ceph-mon ceph-osd radosgw ceph-common"
REGION = "us-east-1"
ROLE = "arn:aws:iam:::role/tidewater"
ACCESS_KEY, SECRET_KEY = "admin", "adminsecret"
START_DEADLINE_S = 120

LEFT_OUT = (
    f"SKIPPING the tests with a real S3 server. They need Ceph's RADOS gateway (Debian: apt-get install {PACKAGES})"
)


def compact(document: dict) -> str:
    """Removes white space, because the gateway accepts only policies without it."""
    return json.dumps(document, separators=(",", ":"))


class S3Server:
    """One gateway. Its own key has all permissions; the role `tidewater` has all on the buckets created here."""

    def __init__(self, folder: Path, ports: tuple[int, int] | None = None):
        """With `ports`, uses the gateway that another process started in this folder."""
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            # A run without S3 must not look like a complete run.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{LEFT_OUT}; missing: {', '.join(missing)}")
        self.folder = folder
        self.ports = ports or free_ports(2)
        self.port = self.ports[0]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        done = subprocess.run(
            ["bash", SCRIPT, "start", self.folder, *map(str, self.ports)],
            capture_output=True,
            check=False,
            text=True,
            timeout=START_DEADLINE_S,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def stop(self) -> None:
        subprocess.run(["bash", SCRIPT, "stop", self.folder], check=True, capture_output=True, timeout=60)

    def client(self, service: str = "s3", **credentials: str) -> Any:
        """Returns a client with these credentials, or the server's own, without retries, and without checksums that
        the gateway does not read."""
        own = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        settings = Config(
            retries={"max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return botocore.session.Session().create_client(service, endpoint_url=self.uri, region_name=REGION, config=settings, **(credentials or own))

    def make_bucket(self, name: str) -> None:
        """Creates a bucket that the role may use."""
        self.client().create_bucket(Bucket=name)
        # The gateway refuses a change of a role beside another.
        with locked(self.folder / "role.lock"):
            self._allow(name)

    def _allow(self, bucket: str) -> None:
        iam = self.client("iam")
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam:::user/admin"]},
            "Action": ["sts:AssumeRole"],
        }
        try:
            iam.create_role(RoleName="tidewater", AssumeRolePolicyDocument=policy(trust))
        except ClientError as error:
            # It is there from another bucket.
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 409, error
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        allowed = {"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}
        iam.put_role_policy(RoleName="tidewater", PolicyName=bucket, PolicyDocument=policy(allowed))

    def profile(self, folder: Path, *lines: str, endpoint: str | None = None, role: str | None = ROLE) -> Path:
        """Returns a storage profile for this server, with more lines, and with `endpoint` if given."""
        settings = [
            'type = "s3"',
            f'region = "{REGION}"',
            f'endpoint = "{endpoint or self.uri}"',
            "path-style = true",
            *([f'role-arn = "{role}"'] if role else []),
            *lines,
            "[credentials]",
            'kind = "aws-key"',
            f'access-key-id = "{ACCESS_KEY}"',
            f'secret-access-key = "{SECRET_KEY}"',
        ]
        path = folder / "s3.toml"
        path.write_text("\n".join(settings) + "\n")
        return path


def policy(*statements: dict) -> str:
    return compact({"Version": "2012-10-17", "Statement": list(statements)})
