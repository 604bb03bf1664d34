"""The SDK: an HTTP client and what checks a log without trusting its server."""
