"""Shared parts of the tests: servers, a raw HTTP client, and request bodies."""
