"""Checks the access settings in the answer to a load, for every kind of storage.

Clients read the expiry from a key of each storage (`S3FileIO`, `ADLSFileIO`, `GCSFileIO`), and older ones from
`expiration-time`. They take credentials from `storage-credentials`, and older ones from `config`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

# The longest lifetime of a temporary credential in any storage: 36 hours.
LONGEST_MS = 36 * 3_600_000

# For each kind of storage: its schemes, its secret keys, and the key with the expiry.
STORAGES = {
    "s3": (
        ("s3", "s3a", "s3n"),
        ("s3.access-key-id", "s3.secret-access-key", "s3.session-token"),
        "s3.session-token-expires-at-ms",
    ),
    "adls": (("abfs", "abfss", "wasb", "wasbs"), ("adls.sas-token",), "adls.sas-token-expires-at-ms"),
    "gcs": (("gs",), ("gcs.oauth2.token",), "gcs.oauth2.token-expires-at"),
}

SECRET = tuple(secret for _, secrets, _ in STORAGES.values() for secret in secrets)

EXPIRY = ("expiration-time", *(expiry for _, _, expiry in STORAGES.values()))

LOCATIONS = ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path")


def complaints(load: dict[str, Any], now_ms: int) -> list[str]:
    """Returns the faults in the credentials of a `LoadTableResult`. Local files need no credentials."""
    metadata, config = load["metadata"], load.get("config") or {}
    locations = [metadata["location"], *(metadata["properties"][key] for key in LOCATIONS if key in metadata["properties"])]
    entries = load.get("storage-credentials") or []
    found = _settings("config", config, now_ms)
    if len({(urlsplit(location).scheme, urlsplit(location).netloc) for location in locations}) > 1:
        found.append(f"a table's files are in several buckets: {locations}")
    scheme = urlsplit(metadata["location"]).scheme
    if scheme in ("", "file"):
        return found + [f"local files need no {key}" for key in config if key.startswith(SECRET + EXPIRY)] + (
            ["local files need no storage-credentials"] if entries else []
        )
    for location in locations:
        fitting = [entry for entry in entries if f"{location}/".startswith(entry["prefix"])]
        if not fitting:
            found.append(f"there is no credential for {location}")
        for entry in fitting:
            missing = [secret for secret in _secrets(scheme) if not _has(entry["config"], secret)]
            found += [f"the credential for {entry['prefix']} lacks {secret}" for secret in missing]
    for entry in entries:
        found += _settings(entry["prefix"], entry["config"], now_ms)
    best = max((e for e in entries if f"{locations[0]}/".startswith(e["prefix"])), key=lambda e: len(e["prefix"]), default=None)
    if best is not None:
        differing = [key for key, value in best["config"].items() if config.get(key) != value]
        found += [f"clients that read only config do not find {key} there" for key in differing]
    return found


def _secrets(scheme: str) -> tuple[str, ...]:
    return next((secrets for schemes, secrets, _ in STORAGES.values() if scheme in schemes), ())


def _has(config: dict[str, str], key: str) -> bool:
    """Whether the key exists. Azure's keys are followed by an account."""
    return any(found == key or found.startswith(f"{key}.") for found in config)


def _settings(where: str, config: dict[str, str], now_ms: int) -> list[str]:
    """Returns the faults in one set of settings."""
    found = [f"{where}: {key} is no text" for key, value in config.items() if not isinstance(value, str)]
    for _, secrets, expiry in STORAGES.values():
        given = [secret for secret in secrets if _has(config, secret)]
        if not given:
            continue
        found += [f"{where}: {secret} is missing beside {given[0]}" for secret in secrets if secret not in given]
        # Older clients read `expiration-time`, and Snowflake reads Azure's plain key.
        found += [f"{where}: {key} is missing" for key in (expiry, "expiration-time") if key not in config]
        accounts = [key.removeprefix(f"{secrets[0]}.") for key in config if key.startswith(f"{secrets[0]}.")]
        found += [f"{where}: {expiry}.{account} is missing" for account in accounts if f"{expiry}.{account}" not in config]
    times = {key: value for key, value in config.items() if key.startswith(EXPIRY)}
    for key, value in times.items():
        if not (value.isdigit() and now_ms < int(value) <= now_ms + LONGEST_MS):
            found.append(f"{where}: {key} is not a time in milliseconds between now and {LONGEST_MS} later: {value}")
    if len(set(times.values())) > 1:
        found.append(f"{where}: its times differ: {times}")
    return found
