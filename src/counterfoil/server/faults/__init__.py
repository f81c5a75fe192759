"""The seeded hostile server: faults that a client of these APIs meets in life, on demand and in development only.

`catalogue` is the table of all faults, from which the documentation and `counterfoil serve --faults` derive; `plans`
says which of them strike when; `layer` is the ASGI application that puts itself around the real one. Nothing of the
server knows of any of this.
"""
