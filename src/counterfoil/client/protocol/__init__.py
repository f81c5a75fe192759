"""Requests and answers of the two APIs, as plain values and pure functions, without network, disk or clock."""
