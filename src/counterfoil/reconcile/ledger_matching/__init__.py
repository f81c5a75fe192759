"""Compares a ledger with the provider's bill: both are summed by what the ledger tells charges apart by."""
