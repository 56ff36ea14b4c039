"""Every documented form of credentials: the command line accepts it, and the catalog can access the storage with it.

A mock serves a machine's credentials (support/machine.py); the storage is that of the other tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import azure, google
from support.azure import ACCOUNT, CLIENT, HOST, TENANT, Account, Azurite
from support.google import Emulator, Google
from support.machine import (
    SESSION_TOKEN,
    Amazon,
    Machine,
    azure_identity,
    azure_workload,
    google_machine,
)
from support.s3 import ACCESS_KEY, REGION, ROLE, SECRET_KEY, S3Server
from support.server import REPOSITORY, Server

PLACE = "credentials"
TRIED = ("no write can be made a copy", "they reach their table and no other")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    emulator.client().create_container(PLACE)
    gateway = Account(emulator)
    yield gateway
    gateway.close()
    emulator.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    emulator = Emulator(tmp_path_factory.mktemp("google"))
    emulator.make_bucket(PLACE)
    gateway = Google(emulator)
    yield gateway
    gateway.close()
    emulator.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(SESSION_TOKEN)
    return path


@pytest.fixture
def machine() -> Iterator[Callable[..., Machine]]:
    made: list[Machine] = []

    def make(certificate: tuple[Path, Path] | None = None, **answers: Any) -> Machine:
        made.append(Machine(answers, certificate))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Trial:
    """Tests a warehouse in an environment."""

    def __init__(self, make_server: Callable[..., Server], folder: Path):
        self._make_server, self._folder = make_server, folder

    def __call__(self, root: str, lines: list[str], env: dict[str, str] | None = None) -> str:
        """Checks that all steps work. Returns the output."""
        path = self._folder / "storage.toml"
        path.write_text("\n".join(lines) + "\n")
        server = self._make_server("credentials", env=env or {})
        server.command("org", "create", "o", "--tier", "enterprise")
        arguments = ("warehouse", "create", "w", "--org", "o", "--root", root, "--storage", str(path), "--dry-run")
        done = server.command(*arguments, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0 and any(tried in said for tried in TRIED), said
        for secret in (SECRET_KEY, azure.KEY, azure.SECRET, SESSION_TOKEN):
            assert secret not in said
        return said


@pytest.fixture
def trial(make_server: Callable[..., Server], tmp_path: Path) -> Trial:
    return Trial(make_server, tmp_path)


# ---- Amazon ----


def on_s3(s3: S3Server, *lines: str, role: bool = False) -> list[str]:
    s3.make_bucket(PLACE)
    settings = ['type = "s3"', f'region = "{REGION}"', f'endpoint = "{s3.uri}"', "path-style = true"]
    return [*settings, *([f'role-arn = "{ROLE}"'] if role else []), *lines]


def test_s3_key_works(trial: Trial, s3: S3Server, unique: str) -> None:
    own = ["[credentials]", 'kind = "aws-key"', f'access-key-id = "{ACCESS_KEY}"', f'secret-access-key = "{SECRET_KEY}"']
    assert "they reach their table" in trial(f"s3://{PLACE}/{unique}", on_s3(s3, *own, role=True))


def test_temporary_s3_key_works(trial: Trial, s3: S3Server, unique: str) -> None:
    s3.make_bucket(PLACE)
    given = s3.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="temporary", DurationSeconds=900)["Credentials"]
    own = ["[credentials]", 'kind = "aws-key"', f'access-key-id = "{given["AccessKeyId"]}"']
    own += [f'secret-access-key = "{given["SecretAccessKey"]}"', f'session-token = "{given["SessionToken"]}"']
    trial(f"s3://{PLACE}/{unique}", on_s3(s3, *own))


@pytest.mark.parametrize("section", [[], ["[credentials]", 'kind = "ambient"']], ids=["no section", "ambient"])
def test_s3_keys_from_the_environment_work(trial: Trial, s3: S3Server, unique: str, section: list[str]) -> None:
    env = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    trial(f"s3://{PLACE}/{unique}", on_s3(s3, *section, role=True), env)


def test_s3_instance_role_works(
    trial: Trial, s3: S3Server, machine: Callable[..., Machine], unique: str
) -> None:
    lines = on_s3(s3)
    instance = machine(instance=Amazon(s3).instance)
    trial(f"s3://{PLACE}/{unique}", lines, {"AWS_METADATA_ENDPOINT": instance.uri})
    assert instance.served.count("instance") >= 3, "the server must request a token, the role's name, and its keys"


def test_s3_container_role_works(
    trial: Trial, s3: S3Server, machine: Callable[..., Machine], token_file: Path, unique: str
) -> None:
    lines = on_s3(s3)
    container = machine(container=Amazon(s3).container)
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{container.uri}/v1/credentials"}
    trial(f"s3://{PLACE}/{unique}", lines, {**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file)})
    assert "container" in container.served


def test_s3_web_identity_works(
    trial: Trial, s3: S3Server, machine: Callable[..., Machine], token_file: Path, tmp_path: Path, unique: str
) -> None:
    """The web identity of a cluster's service account (IRSA). Requests for it use https only."""
    lines, issued = on_s3(s3), azure.certificate(tmp_path)
    service = machine(issued[1:], web_identity=Amazon(s3).web_identity)
    env = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file), "AWS_ROLE_ARN": ROLE, "AWS_ENDPOINT_URL_STS": service.uri}
    trial(f"s3://{PLACE}/{unique}", lines, {**env, "SSL_CERT_FILE": str(issued.issuer)})
    assert "web_identity" in service.served


# ---- Azure ----


def on_azure(account: Account, *lines: str) -> list[str]:
    return ['type = "adls"', f'endpoint = "{account.endpoint}"', *lines]


def azure_root(unique: str) -> str:
    return f"abfss://{PLACE}@{HOST}/{unique}"


def test_azure_account_key_works(trial: Trial, account: Account, unique: str) -> None:
    own = ["[credentials]", 'kind = "azure-account-key"', f'account-key = "{azure.KEY}"']
    trial(azure_root(unique), on_azure(account, *own))


def test_azure_application_works(trial: Trial, account: Account, unique: str) -> None:
    own = ["[credentials]", 'kind = "azure-service-principal"', f'tenant-id = "{TENANT}"', f'client-id = "{CLIENT}"']
    own += [f'client-secret = "{azure.SECRET}"', f'authority-host = "{account.uri}"']
    trial(azure_root(unique), on_azure(account, *own))


def test_azure_account_key_from_the_environment_works(trial: Trial, account: Account, unique: str) -> None:
    env = {"AZURE_STORAGE_ACCOUNT_KEY": azure.KEY}
    trial(azure_root(unique), on_azure(account, "[credentials]", 'kind = "ambient"'), env)


def test_azure_application_from_the_environment_works(trial: Trial, account: Account, unique: str) -> None:
    env = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": azure.SECRET}
    trial(azure_root(unique), on_azure(account), {**env, "AZURE_AUTHORITY_HOST": account.uri})


@pytest.mark.parametrize("variable", ["AZURE_MSI_ENDPOINT", "IDENTITY_ENDPOINT"])
def test_azure_managed_identity_works(
    trial: Trial, account: Account, machine: Callable[..., Machine], unique: str, variable: str
) -> None:
    own = machine(identity=azure_identity(account.token))
    trial(azure_root(unique), on_azure(account), {variable: f"{own.uri}/metadata/identity/oauth2/token"})
    assert "identity" in own.served


def test_azure_workload_identity_works(
    trial: Trial, account: Account, machine: Callable[..., Machine], token_file: Path, unique: str
) -> None:
    directory = machine(workload=azure_workload(TENANT, CLIENT, account.token))
    env = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_FEDERATED_TOKEN_FILE": str(token_file)}
    trial(azure_root(unique), on_azure(account), {**env, "AZURE_AUTHORITY_HOST": directory.uri})
    assert "workload" in directory.served


# ---- Google Cloud ----


def on_google(cloud: Google, *lines: str) -> list[str]:
    return ['type = "gcs"', f'endpoint = "{cloud.uri}"', f'sts-endpoint = "{cloud.uri}"', *lines]


def test_google_service_account_key_works(trial: Trial, cloud: Google, unique: str) -> None:
    own = ["[credentials]", 'kind = "gcs-service-account"', f"key = '''{cloud.key()}'''"]
    trial(f"gs://{PLACE}/{unique}", on_google(cloud, *own))


def test_google_key_file_from_the_environment_works(
    trial: Trial, cloud: Google, tmp_path: Path, unique: str
) -> None:
    key = tmp_path / "key.json"
    key.write_text(cloud.key())
    trial(f"gs://{PLACE}/{unique}", on_google(cloud), {"GOOGLE_APPLICATION_CREDENTIALS": str(key)})


def test_google_machine_service_account_works(
    trial: Trial, cloud: Google, machine: Callable[..., Machine], unique: str
) -> None:
    own = machine(token=google_machine(cloud.own_token))
    # Not the credentials that a person on this machine may have.
    env = {"GCE_METADATA_HOST": own.uri.removeprefix("http://"), "HOME": "/nonexistent"}
    trial(f"gs://{PLACE}/{unique}", on_google(cloud), env)
    assert "token" in own.served


# ---- all of them ----


def test_every_documented_credential_kind_has_a_test() -> None:
    """Compares the kinds in the documentation with the profiles in this file."""
    named = set()
    for page in ("s3", "azure", "google", "remote-signing"):
        text = (REPOSITORY / "docs/storage" / f"{page}.md").read_text()
        # In a table's first column, in a sentence, or in a profile.
        found = re.findall(r'^\| `((?:aws|azure|gcs)-[a-z-]+)` \||of the kind `([a-z-]+)`|^kind = "([a-z-]+)"', text, re.MULTILINE)
        named |= {name for names in found for name in names if name}
    here = set(re.findall(r"kind = \"([a-z-]+)\"", Path(__file__).read_text()))
    assert named - here == set() and len(here) == 5, (named, here)
