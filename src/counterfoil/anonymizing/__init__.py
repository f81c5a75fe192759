"""A real month becomes a fixture that may leave the house: ids, names and domains replaced, amounts and dates kept.

What stays is decided by a list of what is safe (see `attribute_rules`): an attribute that Counterfoil does not know is
replaced, its name included.
"""

from counterfoil.anonymizing.anonymized_files import AnonymizedFile, anonymize, read_or_make_key

__all__ = ["AnonymizedFile", "anonymize", "read_or_make_key"]
