"""What the tests share: a server to talk to, a raw client, and documents to send."""
