"""A hostile server on demand: faults that a client of these APIs meets in real life. For development only.

`fault` says what a fault is; the files `*_faults` hold them, by what they are about; `fault_plan` says which of them
strike when; `faulty_app` is the ASGI application that puts itself around the real one.
"""
